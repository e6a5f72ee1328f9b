"""The forwarder: the CPU time of an engine process per viewer, with a synthetic publisher and viewers."""
