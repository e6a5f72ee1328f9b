"""Our own forwarder: ICE-lite, DTLS-SRTP, RTP forwarded and never decoded. Run in processes of its own."""
