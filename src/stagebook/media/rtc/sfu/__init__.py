"""The selective forwarding unit (RFC 7667, section 3.7): sources, tracks, publishers and viewers.

One `Forwarder` runs in each engine process. A source is one publication; its media comes from a WebRTC publisher
(`published_source`) or from encoders (`encoder/`). Each viewer of a source is sent the same RTP payloads, under its own
SSRC, payload type, sequence numbers and SRTP keys.

Units, in all modules here: `now` and the other times are seconds of the engine's monotonic clock, RTP timestamps are
ticks of a track's clock (90,000 or 48,000 a second), modulo 2^32 unless they are called "not wrapped", and sequence
numbers are modulo 2^16. `octets` are bytes of RTP payload, as in sender reports (RFC 3550 section 6.4.1). Methods that
take packets of a peer raise nothing for their content.
"""
