"""The processes that read the history: their pool in the server, and their main module."""
