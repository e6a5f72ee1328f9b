"""What the engine knows of each connection."""
