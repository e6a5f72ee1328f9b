"""The durable store of events and resources: its port, its changes, and the SQLite implementation."""
