"""Deletion by age in a SQLite book: its statements, and the free space of its file."""
