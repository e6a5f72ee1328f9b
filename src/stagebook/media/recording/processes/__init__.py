"""The recorder process and its supervision: what implements `RecordingEngine` in the server."""
