"""Offers of peers at LiveKit: by WHIP or by signalling, and what is undone when one has no answer."""
