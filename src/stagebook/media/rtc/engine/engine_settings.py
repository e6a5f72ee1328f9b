"""What one engine (or a pool of them) is told at its start. A value only: nothing here opens a socket."""

import msgspec

from stagebook.media.codecs.codec_names import Codec

MAX_ENGINES = 64


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one engine process.

    `udp_port` is one number for all `bind_addresses`; 0 lets the system choose one. In a pool, engine n is given
    `udp_port + n`. `announced_addresses` are the IPs of the candidates (a NAT's outer address, several networks); empty
    means the bind addresses, and for a wildcard the host's own addresses.
    """

    bind_addresses: tuple[str, ...] = ("127.0.0.1",)
    udp_port: int = 0
    announced_addresses: tuple[str, ...] = ()
    consent_timeout_seconds: float = 15.0
    connect_timeout_seconds: float = 15.0
    max_connections: int = 2000
    video_codecs: tuple[Codec, ...] = (Codec.H264, Codec.VP8)
    max_bitrate_bps: int = 8_500_000
    feed_directory: str = ""
    """Where the engine listens for feeds of encoders: a private folder with a short path. Empty: no feeds."""
    feed_ticket_seconds: float = 120.0
    """How long an encoder's media may take to begin after it was let in."""

    def __post_init__(self) -> None:
        """Refuse values that no engine can run with. Raises ValueError."""
        if not self.bind_addresses:
            raise ValueError("bind_addresses: at least one address is needed")
        if not 0 <= self.udp_port <= 65535:
            raise ValueError("udp_port: 0 to 65535")
        if self.consent_timeout_seconds <= 0 or self.connect_timeout_seconds <= 0:
            raise ValueError("consent_timeout_seconds and connect_timeout_seconds: more than 0")
        if self.max_connections < 1:
            raise ValueError("max_connections: at least 1")
        if not self.video_codecs or Codec.OPUS in self.video_codecs:
            raise ValueError("video_codecs: H264, VP8 or both")
        if self.feed_ticket_seconds <= 0:
            raise ValueError("feed_ticket_seconds: more than 0")
        if self.max_bitrate_bps < 1:
            raise ValueError("max_bitrate_bps: at least 1")
