"""The commands for a whole book: import, check, copy and compare."""
