"""A media engine for participants and encoders without media, in a server for tests.

A simulated peer sends no packets. What a real peer causes by its packets is called here: its transport connects, its
connection is lost, its media breaks a limit. The engine reports these to the stage manager as the same facts, so
everything above the port of the engines is the real thing.
"""
