"""The forwarder: what an engine process costs for each viewer, with a publisher and viewers made for this benchmark."""
