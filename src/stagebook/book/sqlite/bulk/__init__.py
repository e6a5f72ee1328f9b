"""Reads and writes a whole book at once: no part of a server, which works in small steps."""
