"""Runs of nodes and the accounts that they own: taking an account, reading the owners, and when a run is dead."""
