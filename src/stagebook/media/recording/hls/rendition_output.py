"""Puts the objects of a rendition: init segments, segments and playlists, each with its record in the journal.

A segment is put before its record is written to the journal, and the playlist after both: after a crash the journal
names only objects that exist. A playlist that grows is not written for each segment, because the sum of its sizes would
grow with the square of their number: it is written when it is to have 1 % more segments than the last time. A recording
of 24 hours in segments of 2 s then writes about 100 times the size of its last playlist, 130 MB. It is always complete
when a stream or the recording ends.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from stagebook.media.codecs.h264_sps import parse_sps
from stagebook.media.recording.hls.encoded_media import EncodedSound, SoundFormat, VideoFormat
from stagebook.media.recording.hls.fmp4_init import init_segment, sound_codec, video_codec
from stagebook.media.recording.hls.fmp4_segment import PictureSample, media_segment
from stagebook.media.recording.hls.rendition_playlists import PLAYLIST_TYPE, RenditionPlaylists
from stagebook.media.recording.hls.rendition_records import InitWritten, SegmentWritten, StreamBegan
from stagebook.media.recording.object_writer import ObjectWriter

MEDIA_TYPE: Final = "video/mp4"
HLS_FOLDER: Final = "media/hls"
_SEGMENTS_PER_REWRITE: Final = 100
"""A playlist of more segments is not written for each one."""


class RenditionOutput:
    """The objects of one rendition."""

    def __init__(
        self, *, objects: ObjectWriter, rendition: str, segment_seconds: int, journal: Callable[[bytes], None] | None
    ) -> None:
        self._objects = objects
        self._folder = f"{HLS_FOLDER}/{rendition}"
        self._journal = journal
        self._playlists = RenditionPlaylists(rendition=rendition, segment_seconds=segment_seconds)
        self._init_number = -1
        self._init = b""
        self._began: StreamBegan | None = None
        self._written_segments = 0

    def begin_stream(self, video: VideoFormat | None, sound: SoundFormat | None, *, wall_clock_ms: int) -> None:
        """Begin with these formats. A new init segment is put if it differs from the one before."""
        init = init_segment(video, sound)
        if init != self._init:
            self._init = init
            self._init_number += 1
            self._objects.put(f"{self._folder}/init-{self._init_number}.mp4", init, MEDIA_TYPE)
            record = _describe(self._init_number, video, sound)
            self._record(record)
            self._playlists.add_init(record)
        self._began = StreamBegan(init=self._init_number, wall_clock_ms=wall_clock_ms)

    def put_segment(self, pictures: Sequence[PictureSample], sounds: Sequence[EncodedSound], *, end_us: int) -> None:
        """Put the next segment, which ends at `end_us` of the recording."""
        number = self._playlists.segments
        body = media_segment(number + 1, pictures, sounds)
        self._objects.put(f"{self._folder}/{number}.mp4", body, MEDIA_TYPE)
        record = SegmentWritten(
            number=number, end_us=end_us, size_bytes=len(body), pictures=len(pictures), began=self._began
        )
        self._record(record)
        self._playlists.add_segment(record)
        if number == 0 or self._began is not None:
            self._put_multivariant()
        self._began = None
        if number + 1 - self._written_segments > number // _SEGMENTS_PER_REWRITE:
            self.put_playlist(is_complete=False)

    def put_playlist(self, *, is_complete: bool) -> None:
        """Put the media playlist as it is now, and once it is complete the multivariant playlist."""
        self._written_segments = self._playlists.segments
        body = self._playlists.media_playlist(is_complete=is_complete)
        self._objects.put(f"{self._folder}/playlist.m3u8", body, PLAYLIST_TYPE)
        if is_complete:
            self._put_multivariant()

    @property
    def duration_ms(self) -> int:
        """The duration of all segments."""
        return self._playlists.duration_ms

    def _put_multivariant(self) -> None:
        self._objects.put(f"{HLS_FOLDER}/multivariant.m3u8", self._playlists.multivariant_playlist(), PLAYLIST_TYPE)

    def _record(self, record: InitWritten | SegmentWritten) -> None:
        if self._journal is not None:
            self._journal(msgspec.json.encode(record) + b"\n")


def _describe(number: int, video: VideoFormat | None, sound: SoundFormat | None) -> InitWritten:
    parameters = parse_sps(video.sps) if video is not None else None
    return InitWritten(
        number=number,
        video_codec=None if video is None else video_codec(video),
        sound_codec=None if sound is None else sound_codec(),
        width=parameters.width if parameters else 0,
        height=parameters.height if parameters else 0,
    )
