"""Who is on a stage, published to the participants who watch it."""
