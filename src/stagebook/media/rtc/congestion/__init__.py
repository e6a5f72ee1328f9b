"""Congestion control: how much a connection can carry, from what its peer reports. Sans-I/O."""
