"""The restJson1 protocol, driven by the service model of botocore."""
