"""Counters of the datagrams that an engine received, and of its TCP connections."""

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
    verified_tcp_connections: int = 0
    """TCP connections whose first packet was a connectivity check with the right password."""
    refused_tcp_connections: int = 0
    """TCP connections that were closed because they were not verified, or beyond a limit."""
    dropped_tcp_packets: int = 0
    """Packets to peers over TCP that were dropped because the line, or the peer, was too slow for them."""
