"""What the ingest process is told at its start. A value only: nothing here opens a socket."""

import msgspec


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of RTMP and RTMPS ingest, and the certificate of RTMPS.

    `certificate_path` and `private_key_path` are PEM files, read by the ingest process; empty when there is no RTMPS.
    """

    connect_timeout_seconds: float = 10.0
    """From the TCP connection until the stream key is named: TLS, RTMP handshake, `connect` and `publish`."""
    media_timeout_seconds: float = 10.0
    """From the admission until audio and video are both there."""
    silence_timeout_seconds: float = 10.0
    """How long nothing may come before the encoder counts as gone."""
    max_buffer_seconds: float = 2.0
    """How far a stream's timestamps may run ahead of the time that has passed before reading pauses."""
    max_connections: int = 200
    max_connections_per_address: int = 20
    shared_networks: tuple[str, ...] = ()
    """Addresses or networks of proxies, behind which many encoders are: bounds for one address are not for them."""
    max_message_bytes: int = 4 << 20
    certificate_path: str = ""
    private_key_path: str = ""
