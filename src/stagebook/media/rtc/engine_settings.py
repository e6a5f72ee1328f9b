"""The settings of an engine process, sent to it when it starts."""

import msgspec

from stagebook.media.codecs.codec_names import Codec

MAX_ENGINES = 64


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one engine process."""

    bind_addresses: tuple[str, ...] = ("127.0.0.1",)
    """The IP addresses on which media is received."""
    udp_port: int = 0
    """One port number for all `bind_addresses`; 0 lets the system choose. In a pool, engine n gets `udp_port + n`."""
    tcp_port: int | None = None
    """One TCP port for all `bind_addresses` and all engines of a pool, which the pool binds; 0 lets the system choose.
    None: media is sent and received over UDP alone."""
    engine_number: int = 0
    """Distinguishes the engines of a pool."""
    announced_addresses: tuple[str, ...] = ()
    """The IP addresses of the ICE candidates, for example the outer address of a NAT. Empty means the bind addresses,
    and for a wildcard address all addresses of the host."""
    consent_timeout_seconds: float = 15.0
    """A connection ends when its peer has sent nothing for so long: no verified check or media and no indication."""
    connect_timeout_seconds: float = 15.0
    """Maximum time from the answer to the end of the DTLS handshake."""
    max_connections: int = 2000
    """Publishers, viewers and encoder feeds together."""
    video_codecs: tuple[Codec, ...] = (Codec.H264, Codec.VP8)
    """The video codecs that publishers may use, most preferred first."""
    max_bitrate_bps: int = 8_500_000
    """The highest bitrate that a publisher is allowed by REMB."""
    feed_directory: str = ""
    """A private directory with a short path for the media bus socket. Empty: the engine accepts no encoder feeds."""
    feed_ticket_seconds: float = 120.0
    """Lifetime of an unused feed ticket."""

    def __post_init__(self) -> None:
        """Raises ValueError for values that no engine can run with. The message names the setting."""
        if not self.bind_addresses:
            raise ValueError("bind_addresses: at least one address is needed")
        if not 0 <= self.udp_port <= 65535:
            raise ValueError("udp_port: 0 to 65535")
        if self.tcp_port is not None and not 0 <= self.tcp_port <= 65535:
            raise ValueError("tcp_port: 0 to 65535")
        if not 0 <= self.engine_number < MAX_ENGINES:
            raise ValueError(f"engine_number: less than {MAX_ENGINES}")
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
