"""What the stage manager reads while it decides, in memory, for a book that is a round trip away."""
