"""Engine processes: their pool, messages and settings."""
