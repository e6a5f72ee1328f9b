"""RTP and RTCP packets, and what is measured of a stream."""
