"""The selective forwarding unit (RFC 7667, section 3.7): sources, tracks, publishers and viewers.

One `Forwarder` runs in each engine process. A source is one publication; its media comes from a WebRTC publisher
(`published_source`) or from encoders (`encoder/`). Each viewer of a source is sent the same RTP payloads, under its own
SSRC, payload type, sequence numbers and SRTP keys.
"""
