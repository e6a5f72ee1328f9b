"""The sources of the LiveKit engine's facts: webhooks, which are fast and can be lost, and polls."""
