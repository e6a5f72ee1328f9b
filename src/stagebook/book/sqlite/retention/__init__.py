"""Retention of a SQLite book: which rows are old, and their deletion in steps."""
