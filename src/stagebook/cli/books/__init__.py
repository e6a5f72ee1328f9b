"""The commands for a whole book: import and check."""
