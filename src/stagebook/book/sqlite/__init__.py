"""The embedded book: one SQLite file in WAL mode, one writer with group commit, readers that never wait for it."""
