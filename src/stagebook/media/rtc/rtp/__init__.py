"""RTP and RTCP: packets, the state of a received stream, and what is measured of it (RFC 3550)."""
