"""The durable store: the append-only event book and the resources beside it. All SQL lives below this folder."""
