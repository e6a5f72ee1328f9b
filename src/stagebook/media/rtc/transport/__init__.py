"""One peer connection over ICE, DTLS and SRTP, and what the connections of an engine share."""
