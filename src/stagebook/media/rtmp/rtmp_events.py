"""The events that an RTMP connection reports to its owner.

The order is: at most one PublishReceived; after its acceptance any number of VideoMessage and AudioMessage; at most
one Unpublished, which is the last event.
"""

from typing import TypeAlias

import msgspec


class PublishReceived(msgspec.Struct, frozen=True, kw_only=True):
    """The client sent `publish` and waits for `accept_publish` or `refuse_publish`."""

    app: str
    """The path of the URL before the stream key (`publish_address`)."""
    stream_key: str
    """The last part of the path. It is a secret."""

    def __repr__(self) -> str:
        return f"PublishReceived(app={self.app!r})"


class VideoMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The body of an FLV video tag; never empty.

    The first byte holds the frame type and the codec, or begins an Enhanced RTMP header.
    `timestamp_ms` is the encoder's clock in milliseconds. Audio and video share it. It does not wrap; it is negative
    after a clock that starts near 0 has gone back.
    """

    timestamp_ms: int
    payload: bytes | bytearray


class AudioMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The body of an FLV audio tag; never empty. `timestamp_ms` is as in VideoMessage."""

    timestamp_ms: int
    payload: bytes | bytearray


class Unpublished(msgspec.Struct, frozen=True, kw_only=True):
    """The client ended its stream: FCUnpublish, deleteStream or closeStream."""


RtmpEvent: TypeAlias = PublishReceived | VideoMessage | AudioMessage | Unpublished
