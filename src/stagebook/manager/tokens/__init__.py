"""Participant tokens: their format, verification and authorization."""
