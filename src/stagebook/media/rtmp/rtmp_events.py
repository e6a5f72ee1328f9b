"""What an RTMP connection tells its owner. Values only."""

from typing import TypeAlias

import msgspec


class PublishAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The encoder asks to publish, and waits for `accept_publish` or `refuse_publish`. Comes once at most."""

    app: str
    """The application's name, without slashes around it and without a query."""
    stream_key: str
    """The publish name without a query. A secret."""

    def __repr__(self) -> str:
        return f"PublishAsked(app={self.app!r})"


class VideoMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The body of one FLV video tag, never empty: its first byte has the frame and codec type, or E-RTMP's header.

    `timestamp_ms` is the encoder's clock, shared with the audio and never wrapped. A clock that goes back from near
    zero gives a number below zero.
    """

    timestamp_ms: int
    payload: bytes


class AudioMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The body of one FLV audio tag, never empty. `timestamp_ms` as in VideoMessage."""

    timestamp_ms: int
    payload: bytes


class Unpublished(msgspec.Struct, frozen=True, kw_only=True):
    """The encoder took its publish back. Nothing comes after it."""


RtmpEvent: TypeAlias = PublishAsked | VideoMessage | AudioMessage | Unpublished
