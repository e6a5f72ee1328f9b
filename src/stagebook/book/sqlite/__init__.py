"""The embedded book: one SQLite file, one writer thread with group commit, readers that never wait for it."""
