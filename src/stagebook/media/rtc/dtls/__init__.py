"""DTLS: the engine's certificate and the server side of a handshake (RFC 6347, RFC 5764)."""
