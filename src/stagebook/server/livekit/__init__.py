"""The wiring of the history of an external LiveKit server."""
