"""SRTP: encryption of media packets by libsrtp."""
