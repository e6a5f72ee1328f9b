"""ICE: the lite agent, STUN messages, candidate addresses and UDP sockets (RFC 8445, RFC 8489)."""
