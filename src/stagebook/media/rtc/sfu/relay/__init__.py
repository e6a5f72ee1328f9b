"""A source that viewers watch on several engines: its own engine relays what it receives to the others."""
