"""The history of an external LiveKit server: rooms are recorded as stages, room sessions as stage sessions."""
