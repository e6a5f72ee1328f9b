"""Participants and encoders without media: what a test does with them, over HTTP."""
