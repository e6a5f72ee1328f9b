"""The two playlists of a rendition (RFC 8216 and draft-pantos-hls-rfc8216bis), from the records of what was written.

The media playlist is of type EVENT, because it only grows, and ends with EXT-X-ENDLIST once it is complete. Its text is
kept as it grows: 30 bytes for a segment. A duration in it is the difference of two rounded times of the recording, so
that the sum of all durations has no error that grows.

EXT-X-TARGETDURATION begins with the duration that was asked for, and grows when a publisher's keyframes are farther
apart.
"""

from datetime import UTC, datetime
from typing import Final

from stagebook.media.recording.hls.rendition_records import InitWritten, SegmentWritten, StreamBegan

PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
"""The media type of playlists (RFC 8216 section 4)."""
_VERSION: Final = 7
_MAX_CODECS: Final = 32
"""A publisher may name another profile with each keyframe, and this playlist is put again for each stream."""


class RenditionPlaylists:
    """The playlists of one rendition."""

    def __init__(self, *, rendition: str, segment_seconds: int) -> None:
        """`rendition` is the folder of the rendition."""
        self._rendition = rendition
        self._target_seconds = segment_seconds
        self._lines = bytearray()
        """The text of all segments."""
        self._codecs: dict[str, None] = {}
        self._size = (0, 0)
        self._newest_init: InitWritten | None = None
        self._init: int | None = None
        self._end_us = 0
        self._total_bytes = 0
        self._peak_bps = 0
        self._pictures = 0
        self._pictures_us = 0
        """The duration of the segments that have pictures."""
        self.segments = 0
        """How many segments there are."""

    @property
    def duration_ms(self) -> int:
        """The duration of all segments."""
        return round(self._end_us / 1_000)

    def add_init(self, record: InitWritten) -> None:
        """Add an init segment. It counts when a segment uses it."""
        self._newest_init = record

    def add_segment(self, record: SegmentWritten) -> None:
        """Add a segment. It begins where the one before it ends."""
        duration_us = max(record.end_us - self._end_us, 1)
        if record.began is not None:
            self._begin_stream(record.began)
        seconds, fraction = divmod(duration_us, 1_000_000)
        self._lines += f"#EXTINF:{seconds}.{fraction:06d},\n{record.number}.mp4\n".encode()
        self._target_seconds = max(self._target_seconds, (duration_us + 500_000) // 1_000_000)
        self._end_us = record.end_us
        self._total_bytes += record.size_bytes
        self._peak_bps = max(self._peak_bps, record.size_bytes * 8_000_000 // duration_us)
        if record.pictures:
            self._pictures += record.pictures
            self._pictures_us += duration_us
        self.segments += 1

    def media_playlist(self, *, is_complete: bool) -> bytes:
        """Return the media playlist."""
        head = (
            f"#EXTM3U\n#EXT-X-VERSION:{_VERSION}\n#EXT-X-TARGETDURATION:{self._target_seconds}\n"
            "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        )
        return b"".join((head.encode(), self._lines, b"#EXT-X-ENDLIST\n" if is_complete else b""))

    def multivariant_playlist(self) -> bytes:
        """Return the multivariant playlist, which has one variant.

        BANDWIDTH is that of the largest segment. RESOLUTION is the largest one of the recording, and CODECS has all.
        """
        attributes = [f"BANDWIDTH={max(self._peak_bps, 1)}"]
        if self._end_us:
            attributes.append(f"AVERAGE-BANDWIDTH={max(self._total_bytes * 8_000_000 // self._end_us, 1)}")
        attributes.append(f'CODECS="{",".join(self._codecs)}"')
        if self._size[0]:
            attributes.append(f"RESOLUTION={self._size[0]}x{self._size[1]}")
        if self._pictures:
            attributes.append(f"FRAME-RATE={self._pictures * 1_000_000 / self._pictures_us:.3f}")
        return (
            f"#EXTM3U\n#EXT-X-VERSION:{_VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n"
            f"#EXT-X-STREAM-INF:{','.join(attributes)}\n{self._rendition}/playlist.m3u8\n"
        ).encode()

    def _begin_stream(self, began: StreamBegan) -> None:
        if self.segments:
            self._lines += b"#EXT-X-DISCONTINUITY\n"
        # EXT-X-MAP holds until the next one. It is not repeated: readers load and parse the init segment again.
        if began.init != self._init:
            self._init = began.init
            self._describe(self._newest_init)
            self._lines += f'#EXT-X-MAP:URI="init-{began.init}.mp4"\n'.encode()
        self._lines += f"#EXT-X-PROGRAM-DATE-TIME:{_date_time(began.wall_clock_ms)}\n".encode()

    def _describe(self, init: InitWritten | None) -> None:
        if init is None:
            return
        for codec in (init.video_codec, init.sound_codec):
            if codec is not None and len(self._codecs) < _MAX_CODECS:
                self._codecs[codec] = None
        self._size = max(self._size, (init.width, init.height), key=lambda size: size[0] * size[1])


def _date_time(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms // 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1_000:03d}Z"
