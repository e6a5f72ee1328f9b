"""The live tail: events as they become durable, as server-sent events."""
