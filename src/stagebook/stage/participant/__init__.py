"""One participant: its connections as a state machine, its row and its events."""
