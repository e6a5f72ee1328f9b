"""The book in PostgreSQL beside the one in SQLite: the same appends and pages, in turns in one run."""
