"""Compositions and their events in the SQLite book."""
