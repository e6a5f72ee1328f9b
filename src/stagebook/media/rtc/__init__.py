"""The WebRTC engine: ICE, DTLS, SRTP, SDP, RTP and the forwarder."""
