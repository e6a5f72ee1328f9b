"""How media that did not come by WebRTC is handed to a forwarder: typed messages on a local stream socket.

Whoever takes an encoder's stream in (`ingest`) is the client, the forwarder's process the server. Each message is
msgpack behind its length in four bytes. Both ends are one release and one machine: nothing is lost, reordered or
encrypted. Knows no RTMP and no RTP header.
"""

import asyncio
from typing import Final, TypeAlias

import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.worker.framing import MessageReader

MAX_FEED_MESSAGE_BYTES: Final = 8 << 20
CLOCK_RATES: Final = {MediaKind.VIDEO: 90_000, MediaKind.AUDIO: 48_000}
"""Ticks a second of a unit's timestamp."""


class FeedTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Where to bring one connection's media: a unix socket's path, and the secret that opens it once."""

    path: str
    token: str

    def __repr__(self) -> str:
        return f"FeedTicket(path={self.path!r})"


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """The first message. It is sent when both tracks are known, so with it the connection counts as connected.

    Video is H.264, audio is Opus at 48 kHz with two channels. `video_parameters` is the fmtp value for SDP, with
    packetization-mode=1 and the profile-level-id of the stream's own SPS.
    """

    token: str
    video_parameters: str

    def __repr__(self) -> str:
        return f"Hello(video_parameters={self.video_parameters!r})"


class Unit(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True, gc=False):
    """One access unit: all RTP payloads (RFC 6184 packetization mode 1; RFC 7587) of one picture or one Opus packet.

    `timestamp` counts ticks of CLOCK_RATES from a zero that audio and video share (the encoder's own clock), which is
    what keeps lips and voice together. It is never wrapped, and a picture's is the moment at which it is shown.
    Pictures come in decoding order. A keyframe begins with its SPS and PPS.
    """

    kind: MediaKind
    timestamp: int
    is_keyframe: bool
    payloads: tuple[bytes, ...]


FeedMessage: TypeAlias = Hello | Unit

_messages: MessageReader[FeedMessage] = MessageReader(
    msgspec.msgpack.Decoder(FeedMessage), max_bytes=MAX_FEED_MESSAGE_BYTES
)


async def receive(reader: asyncio.StreamReader) -> FeedMessage:
    """The forwarder's next message. Raises BrokenStreamError."""
    return await _messages.next(reader)
