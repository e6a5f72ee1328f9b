"""The selective forwarding unit: sources, tracks, publishers and viewers."""
