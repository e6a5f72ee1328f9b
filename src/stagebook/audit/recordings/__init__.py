"""The audit of recordings."""
