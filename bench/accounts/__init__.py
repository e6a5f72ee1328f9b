"""What an account that a node owns costs in memory."""
