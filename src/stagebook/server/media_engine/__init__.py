"""The wiring of the media engines and the media processes."""
