"""The construction of a node: a server whose book is in a database, which other nodes may share."""
