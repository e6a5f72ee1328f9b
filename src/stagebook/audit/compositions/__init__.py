"""The rules of compositions."""
