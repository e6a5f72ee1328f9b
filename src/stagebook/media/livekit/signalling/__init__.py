"""Signalling of participants: the protocol of LiveKit's clients, for peers that have one offer and want one answer."""
