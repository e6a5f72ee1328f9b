"""The commands about the nodes that share a book in a PostgreSQL database."""
