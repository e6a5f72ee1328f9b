"""Metrics of the server in the formats of Prometheus."""
