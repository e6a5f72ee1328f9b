"""SDP offer/answer: parse offers, negotiate, write answers (RFC 3264, RFC 8829, RFC 8866)."""
