"""The time from a subscription to the first frame in a browser."""
