"""SRTP and SRTCP: encryption and authentication of media packets, by libsrtp (RFC 3711)."""
