"""Where the facts of the LiveKit engine come from: webhooks, which are fast and may be lost, and polls."""
