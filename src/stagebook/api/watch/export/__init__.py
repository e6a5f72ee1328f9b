"""Export of events over the watch API."""
