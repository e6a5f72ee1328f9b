"""The wiring of the metrics: the parts of the server that are measured."""
