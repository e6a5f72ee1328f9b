"""The history of a LiveKit server that somebody else runs: its rooms as stages, their lives as sessions of the book."""
