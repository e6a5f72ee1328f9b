"""Compositions and their events in the tables of the book."""
