"""Compositions: their requests, what runs, and what each of them shows."""
