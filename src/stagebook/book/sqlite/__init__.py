"""The book on SQLite: one file, one writer thread with group commit, and readers that do not wait for the writer."""
