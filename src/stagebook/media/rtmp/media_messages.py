"""Media messages become events: aggregates taken apart, timestamps unwrapped. Knows no publish."""

from collections.abc import Iterator

from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_events import AudioMessage, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpError, RtmpLimits

_TAG_HEADER_BYTES = 11
_BACK_POINTER_BYTES = 4
_TIMESTAMPS = 1 << 32
_CLOCK_MS = 1 << 31
"""Where FFmpeg's clock begins anew: its FLV has 31 bits of a timestamp. Others' does at 2**32, a multiple of it."""
_MAX_STEP_MS = 1 << 24
"""Hours: above it a clock was not followed but changed, as by encoders whose configuration has the time 0 whenever they
begin."""


class MediaReader:
    """Reads the media messages of one connection, in their order."""

    def __init__(self, limits: RtmpLimits) -> None:
        self._limits = limits
        self._last_ms: int | None = None

    def read(self, message: Message) -> list[VideoMessage | AudioMessage]:
        """Read an audio, video or aggregate message. One without payload says nothing. Raises RtmpError."""
        if message.type_id == MessageType.AGGREGATE:
            return [event for tag in aggregated(message, self._limits) for event in self.read(tag)]
        if not message.payload:
            return []
        timestamp_ms = self._unwrapped(message.timestamp)
        if message.type_id == MessageType.VIDEO:
            return [VideoMessage(timestamp_ms=timestamp_ms, payload=message.payload)]
        return [AudioMessage(timestamp_ms=timestamp_ms, payload=message.payload)]

    def _unwrapped(self, timestamp: int) -> int:
        """The time on a clock that goes on where the encoder's begins anew (section 5.3); far from the last time, the
        timestamp as it is."""
        if self._last_ms is not None:
            half = _CLOCK_MS // 2
            step = (timestamp - self._last_ms + half) % _CLOCK_MS - half
            if abs(step) <= _MAX_STEP_MS:
                timestamp = self._last_ms + step
        self._last_ms = timestamp
        return timestamp


def aggregated(message: Message, limits: RtmpLimits) -> Iterator[Message]:
    """Yield the audio and video messages that an aggregate message is made of (section 7.1.6). Raises RtmpError.

    It is a row of FLV tags. The first has the aggregate's time, and the others keep their distance from it.
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
            raise RtmpError("an aggregate message ends inside of a tag")
        if not tags_left:
            raise RtmpError(f"an aggregate message has more than {limits.max_aggregate_tags} tags")
        tags_left -= 1
        timestamp = int.from_bytes(header[4:7]) | header[7] << 24
        if offset is None:
            offset = message.timestamp - timestamp
        if header[0] in {MessageType.AUDIO, MessageType.VIDEO}:
            yield Message(header[0], message.stream_id, (timestamp + offset) % _TIMESTAMPS, payload[body:position])
        position += _BACK_POINTER_BYTES
