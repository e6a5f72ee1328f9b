"""Appends through the stage manager: durable events per second, sequentially and in a burst of joins."""
