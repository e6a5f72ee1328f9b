"""One peer connection over ICE, DTLS and SRTP, and what all connections share."""
