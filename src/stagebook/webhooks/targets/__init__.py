"""The receivers of webhooks: HTTP endpoints and AWS services."""
