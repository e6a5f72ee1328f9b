"""The media bus: how the ingest processes hand encoders' media to the engine processes.

For each encoder, its ingest process connects to the unix socket of one engine and sends one `Hello` and then `Unit`
after `Unit`. The engine sends nothing. A message is framed as in `worker.framing`: a length of four bytes and a msgpack
body. Both processes run on one machine and the same release, so nothing is lost or reordered, and there is neither
encryption nor a protocol version.

    ingest process                       engine process
    FeedWriter  -- Hello, Unit, Unit -->  MediaBusReader -> MediaBusServer
"""

from typing import Final, TypeAlias

import msgspec

from stagebook.media.codecs.codec_names import MediaKind

MAX_FEED_MESSAGE_BYTES: Final = 8 << 20
"""Maximum size of a message's body."""
MAX_HELLO_BYTES: Final = 4 << 10
"""Maximum size of the first message's body: it comes from a client that has not authenticated itself."""
CLOCK_RATES: Final = {MediaKind.VIDEO: 90_000, MediaKind.AUDIO: 48_000}
"""Ticks per second of a unit's timestamp: the RTP clock rates of H.264 (RFC 6184) and Opus (RFC 7587)."""

VIDEO_TICKS_PER_MS: Final = CLOCK_RATES[MediaKind.VIDEO] // 1_000
MAX_VIDEO_TRACKS: Final = 6
"""Maximum number of video tracks of one encoder: one for each layer that an engine receives of a publisher."""


class FeedTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to feed one connection: the path of the receiver's unix socket, and a token that is valid once."""

    path: str
    token: str
    batch_seconds: float = 0.0
    """How long a relay may hold back what it sends, to send more at once. Each batch wakes up the receiver."""

    def __repr__(self) -> str:
        return f"FeedTicket(path={self.path!r})"


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """The first message. It is sent when both tracks are known, and makes the connection count as connected.

    Video is H.264. Audio is Opus at 48 kHz with two channels. `video_parameters` is the fmtp value for SDP, with
    packetization-mode=1 and the profile-level-id of the stream's SPS.
    """

    token: str
    video_parameters: str
    video_tracks: int = 1
    """The number of video tracks, the same picture at several qualities. 1 to MAX_VIDEO_TRACKS."""

    def __repr__(self) -> str:
        return f"Hello(video_parameters={self.video_parameters!r}, video_tracks={self.video_tracks})"


class Unit(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True, gc=False):
    """One access unit: the RTP payloads of one video frame (RFC 6184, packetization mode 1) or one Opus packet.

    `timestamp` is the presentation time on the encoder's clock, in ticks of CLOCK_RATES. Audio and video share the zero
    of that clock, which keeps them in sync. It is never wrapped. Video frames come in decoding order. A keyframe begins
    with its SPS and PPS.
    """

    kind: MediaKind
    timestamp: int
    is_keyframe: bool
    payloads: tuple[bytes, ...]
    track: int = 0
    """The number of the video track, below the `video_tracks` of the Hello. `Hello.video_parameters` are those of track
    0."""


FeedMessage: TypeAlias = Hello | Unit
FEED_DECODER: msgspec.msgpack.Decoder[FeedMessage] = msgspec.msgpack.Decoder(FeedMessage)
