"""Encoding of what a composition makes: H.264 and AAC."""
