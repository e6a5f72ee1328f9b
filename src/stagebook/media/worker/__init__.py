"""Child processes that carry media: their life cycle and messages."""
