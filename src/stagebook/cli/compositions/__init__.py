"""The commands for compositions."""
