"""What several nodes on one book cost and gain."""
