"""The wiring of what a server has to do with LiveKit."""
