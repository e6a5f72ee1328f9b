"""What the recording of one participant costs."""
