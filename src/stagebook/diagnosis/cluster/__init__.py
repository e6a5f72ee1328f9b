"""The checks of a node: its database, the secrets that it shares, and the other nodes. They need the extra postgres."""
