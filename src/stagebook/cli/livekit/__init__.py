"""`stagebook livekit`: the commands about a LiveKit server that exists."""
