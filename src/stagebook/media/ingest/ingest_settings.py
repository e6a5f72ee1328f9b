"""The settings of ingest. Each ingest process gets them with its first command."""

import msgspec


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Timeouts and limits of RTMP and RTMPS ingest."""

    connect_timeout_seconds: float = 10.0
    """Maximum time from the TCP connection to `publish`: TLS handshake, RTMP handshake and commands."""
    media_timeout_seconds: float = 10.0
    """Maximum time from the admission until both audio and video are there."""
    silence_timeout_seconds: float = 10.0
    """Maximum time without media before the encoder counts as gone."""
    max_buffer_seconds: float = 2.0
    """How far a stream's timestamps may be ahead of the clock before the server stops reading it."""
    max_connections: int = 200
    """Of all processes together."""
    max_streams: int = 32
    """How many encoders may publish to one process at the same time. A stream takes 2 to 3 % of a core
    (docs/performance.md)."""
    max_connections_per_address: int = 20
    """For each IPv4 address and IPv6 /64 prefix, of all processes together."""
    shared_networks: tuple[str, ...] = ()
    """Addresses or networks of proxies. `max_connections_per_address` does not apply to them."""
    max_message_bytes: int = 4 << 20
    """Maximum size of an audio or video message."""
