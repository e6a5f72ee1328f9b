"""The API for operators and monitoring: the health check."""
