"""The commands for events: list, tail, timeline, export and import."""
