"""What the stores of the book share: its tables, their rows, and the statements that read them, over any connection."""
