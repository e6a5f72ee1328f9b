"""`stagebook livekit`: the commands for an external LiveKit server."""
