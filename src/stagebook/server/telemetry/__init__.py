"""Traces by OpenTelemetry, if an endpoint is configured. Without one, nothing here is imported or called."""
