"""Mixing: the sound of the publishers in one stream."""
