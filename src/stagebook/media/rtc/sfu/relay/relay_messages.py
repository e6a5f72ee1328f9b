"""The messages of a relay: how the engine of a source hands what it receives to another engine of the same machine.

A relay is a connection of the media bus (`media.media_bus`): a unix socket, messages with a length before them, a token
that is valid once. The source's own engine connects.

    engine of the source                              engine of some of its viewers
      | -- RelayHello -------------------------------------> |
      | -- PublisherRelayed, PacketRelayed, ReportRelayed -> |   a WebRTC publisher: RTP and RTCP, decrypted
      | <- KeyframeAsked ----------------------------------- |
      | -- PublisherGone ----------------------------------> |
      | -- EncoderRelayed, FrameCached, Unit --------------> |   an encoder: its GOP so far, then units
      | <- TapEndAsked ------------------------------------- |   of a tap: send what waits, and close the connection

Packets are relayed as the publisher sent them, with all simulcast layers and retransmissions. So the other engine
chooses layers, renumbers and answers NACKs for its viewers as the first one does, with the same code.
"""

from typing import Final, TypeAlias

import msgspec

from stagebook.media.media_bus import Unit
from stagebook.media.rtc.sdp.media_plan import PublisherPlan


class SourceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine needs to answer viewers of a source before anything has been relayed to it."""

    plan: PublisherPlan | None
    """The negotiated offer of the WebRTC publisher; None for a source that encoders feed."""
    video_parameters: str = ""
    """The fmtp value of an encoder's video."""


class RelayHello(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """The first message, with the token of the relay's ticket."""

    token: str

    def __repr__(self) -> str:
        return "RelayHello()"


class PublisherRelayed(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """A WebRTC publisher feeds the source from now on, instead of the one before."""

    plan: PublisherPlan
    rids: dict[int, str] = {}
    """The RIDs by SSRC that the publisher has sent so far. It need not repeat them (RFC 8852 section 3.1)."""


class PublisherGone(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """No WebRTC publisher feeds the source any more."""


class PacketRelayed(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True, gc=False):
    """One RTP packet of the publisher, media or RTX."""

    packet: bytes


class ReportRelayed(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True, gc=False):
    """One RTCP compound packet of the publisher."""

    compound: bytes


class EncoderRelayed(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """An encoder feeds the source from now on, instead of the one before."""

    video_parameters: str


class FrameCached(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True, gc=False):
    """One frame of the encoder's GOP so far. Viewers that join are sent it; the others have been sent it before."""

    payloads: tuple[bytes, ...]
    is_keyframe: bool
    timestamp: int = 0
    """As that of a unit."""


class KeyframeAsked(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """Viewers of the other engine need a keyframe of the publisher's stream with this SSRC."""

    ssrc: int


class TapEndAsked(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """The process of a tap wants nothing more than what the engine has received so far."""


RelayMessage: TypeAlias = (
    RelayHello | PublisherRelayed | PublisherGone | PacketRelayed | ReportRelayed | EncoderRelayed | FrameCached | Unit
)
RELAY_DECODER: Final[msgspec.msgpack.Decoder[RelayMessage]] = msgspec.msgpack.Decoder(RelayMessage)
RelayReply: TypeAlias = KeyframeAsked | TapEndAsked
REPLY_DECODER: Final[msgspec.msgpack.Decoder[RelayReply]] = msgspec.msgpack.Decoder(RelayReply)
