"""LiveKit as a media engine: its server carries the media, and this package speaks its protocols."""
