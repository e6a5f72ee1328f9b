"""The live tail: a thousand readers of event streams in another process, and what an event costs for each."""
