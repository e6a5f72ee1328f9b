"""Counters of the datagrams that an engine received."""

import msgspec


class TransportStatistics(msgspec.Struct, kw_only=True):
    """Counters since the start of the engine, over all of its connections."""

    received_packets: int = 0
    """Authentic RTP packets of publishers, retransmissions included."""
    received_bytes: int = 0
    """Bytes of those packets with their RTP headers, after decryption."""
    unknown_datagrams: int = 0
    """Datagrams of an unknown protocol, from an address of no connection, or with a ufrag of no connection."""
    delayed_handshakes: int = 0
    """DTLS datagrams that were dropped because the peer's network has too many handshakes in progress."""
    unnegotiated_packets: int = 0
    """SRTP packets of a known peer with a payload type that was not negotiated. They are dropped undecrypted."""
    packets_over_limit: int = 0
    """SRTP and SRTCP packets of a known peer beyond its packets per second. They are dropped undecrypted."""
    rejected_srtp_packets: int = 0
    """SRTP and SRTCP packets of a known peer that were forged, replayed or malformed."""
    unknown_ssrc_packets: int = 0
    """SRTP and SRTCP packets of a known peer with an SSRC beyond its number of them. They are dropped undecrypted."""
