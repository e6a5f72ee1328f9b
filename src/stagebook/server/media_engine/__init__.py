"""The wiring of an external media engine."""
