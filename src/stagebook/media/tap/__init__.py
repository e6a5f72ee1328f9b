"""Taps: what a source's engine receives, as frames in a process that records or composes."""
