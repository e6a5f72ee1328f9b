"""Audio, video and aggregate messages (sections 7.1.4 to 7.1.6) as events with continuous timestamps.

RTMP timestamps are 32-bit milliseconds, which wrap after about 50 days (section 4). FFmpeg's wrap after 25 days,
because its FLV muxer uses only 31 bits of them. One rule handles both: timestamps count modulo 2**31, and of the
possible distances from the previous timestamp the shortest one applies. A step of more than a few hours means that the
clock was set to another time, and the timestamp is used as it is.
"""

from collections.abc import Iterator

from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import AudioMessage, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits

_TAG_HEADER_BYTES = 11
_BACK_POINTER_BYTES = 4
_TIMESTAMP_MODULUS = 1 << 32
_WRAP_MS = 1 << 31
"""The period after which FFmpeg's timestamps wrap. Other encoders' wrap after 2**32 ms, which is a multiple of it."""
_MAX_STEP_MS = 1 << 24
"""About 4.7 hours. Larger steps occur at the start of a stream: encoders send the codec configuration with timestamp 0
and may send the media with the time of a clock that started long before."""


class MediaReader:
    """Converts the media messages of one connection to events. Audio and video share one clock."""

    def __init__(self, limits: RtmpLimits) -> None:
        self._limits = limits
        self._last_ms: int | None = None

    def read(self, message: Message) -> list[VideoMessage | AudioMessage]:
        """Convert an audio, video or aggregate message. An empty message gives no event. Raises RtmpError."""
        if message.type_id == MessageType.AGGREGATE:
            return [event for tag in split_aggregate(message, self._limits) for event in self.read(tag)]
        if not message.payload:
            return []
        timestamp_ms = self._unwrapped(message.timestamp)
        if message.type_id == MessageType.VIDEO:
            return [VideoMessage(timestamp_ms=timestamp_ms, payload=message.payload)]
        return [AudioMessage(timestamp_ms=timestamp_ms, payload=message.payload)]

    def _unwrapped(self, timestamp: int) -> int:
        """The timestamp on a clock that does not wrap.

        One `_last_ms` serves both tracks. Audio and video alternate within a second, so the distance to the previous
        message of either one is small, and a track that pauses for days cannot miss a wrap.
        """
        if self._last_ms is not None:
            half = _WRAP_MS // 2
            step = (timestamp - self._last_ms + half) % _WRAP_MS - half
            if abs(step) <= _MAX_STEP_MS:
                timestamp = self._last_ms + step
        self._last_ms = timestamp
        return timestamp


def split_aggregate(message: Message, limits: RtmpLimits) -> Iterator[Message]:
    """Yield the audio and video messages of an aggregate message (section 7.1.6). Raises RtmpError.

    Its payload is a sequence of FLV tags, each followed by a back pointer. The first tag has the timestamp of the
    aggregate message, and the other tags keep their distance from it. Other types of tags are skipped.
    """
    payload, position = message.payload, 0
    offset: int | None = None
    tags_left = limits.max_aggregate_tags
    while position < len(payload):
        header = payload[position : position + _TAG_HEADER_BYTES]
        body = position + _TAG_HEADER_BYTES
        size = int.from_bytes(header[1:4])
        position = body + size
        if len(header) < _TAG_HEADER_BYTES or position > len(payload):
            raise RtmpError("an aggregate message ends inside a tag")
        if not tags_left:
            raise RtmpError(f"an aggregate message has more than {limits.max_aggregate_tags} tags")
        tags_left -= 1
        # FLV: the upper 8 bits of the timestamp (TimestampExtended) follow the lower 24 bits.
        timestamp = int.from_bytes(header[4:7]) | header[7] << 24
        if offset is None:
            offset = message.timestamp - timestamp
        if header[0] in {MessageType.AUDIO, MessageType.VIDEO}:
            timestamp = (timestamp + offset) % _TIMESTAMP_MODULUS
            yield Message(header[0], message.stream_id, timestamp, payload[body:position])
        position += _BACK_POINTER_BYTES
