"""Deletion by age in tables: which rows are old, and their deletion in steps."""
