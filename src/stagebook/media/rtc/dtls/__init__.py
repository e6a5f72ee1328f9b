"""DTLS: the engine's certificate and the association with one peer (RFC 6347, RFC 5764)."""
