"""DTLS: the server side of a handshake and its certificate."""
