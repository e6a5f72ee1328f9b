"""The delivery of webhooks: what is attempted when, the process that does it, and what it stores."""
