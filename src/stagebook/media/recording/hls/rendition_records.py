"""What was written of a rendition, as records: enough to write its playlists, also after a crash.

The HLS writer hands each record to the recording's journal once the object that it names is put.
"""

import msgspec


class InitWritten(msgspec.Struct, frozen=True, kw_only=True, tag="init"):
    """An init segment: `init-<number>.mp4`. The codecs are in the form of RFC 6381; a size of 0 means no pictures."""

    number: int
    video_codec: str | None
    sound_codec: str | None
    width: int = 0
    height: int = 0


class StreamBegan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The next segment is the first one with this init segment, or after a discontinuity."""

    init: int
    wall_clock_ms: int
    """When its first picture or sound was presented, in milliseconds since the epoch."""


class SegmentWritten(msgspec.Struct, frozen=True, kw_only=True, tag="segment", omit_defaults=True):
    """A media segment: `<number>.mp4`, from the end of the segment before it to `end_us` of the recording."""

    number: int
    end_us: int
    size_bytes: int
    pictures: int = 0
    began: StreamBegan | None = None
