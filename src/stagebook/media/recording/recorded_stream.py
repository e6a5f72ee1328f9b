"""The stream that a recording is at: frames of one publication as pictures and sounds, with the formats of its tracks.

H.264 is copied, Opus becomes AAC. What a publisher leaves out is filled, so that sound and pictures stay together:
silence for sound, the last picture for pictures. At a keyframe with other parameter sets, and with another publication,
another stream begins without a gap. Pictures with other parameter sets are left out while `stream_rate_limit` admits no
further stream.
"""

from collections.abc import Callable
from typing import Final

import structlog

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.recording.black_picture import black_picture
from stagebook.media.recording.hls.access_unit import video_format
from stagebook.media.recording.hls.encoded_media import EncodedPicture, EncodedSound, VideoFormat
from stagebook.media.recording.hls.hls_writer import HlsWriter
from stagebook.media.recording.opus_to_aac import OpusToAac
from stagebook.media.recording.recording_port import RecordingRequest
from stagebook.media.recording.recording_timeline import RecordingTimeline
from stagebook.media.recording.stream_opening import StreamOpening
from stagebook.media.recording.stream_rate_limit import StreamRateLimit
from stagebook.media.recording.thumbnails.thumbnail_writer import ThumbnailWriter
from stagebook.media.tap.tapped_frame import TappedFrame

_SOUND_LAG_US: Final = 2_000_000
"""How much later than the pictures sound may arrive. What is missing then is silence."""
_MIN_STREAM_US: Final = 1_000_000
"""A stream lasts at least this long, so that a publisher that changes its format all the time makes few objects."""

_log = structlog.get_logger(__name__)


class RecordedStream:
    """The streams of one recording, one after the other. Times are on the timeline of the recording."""

    def __init__(
        self,
        *,
        request: RecordingRequest,
        writer: HlsWriter,
        timeline: RecordingTimeline,
        thumbnails: ThumbnailWriter | None,
        request_keyframe: Callable[[], None],
        now_ms: Callable[[], int],
    ) -> None:
        """`now_ms` returns the wall-clock time in milliseconds since the epoch."""
        self._request = request
        self._writer = writer
        self._timeline = timeline
        self._thumbnails = thumbnails
        self._request_keyframe = request_keyframe
        self._limit = StreamRateLimit(now_ms=now_ms)
        self._has_logged_limit = False
        self.is_open = False
        """Whether a stream has begun and not ended."""
        self._video: VideoFormat | None = None
        """The format of the pictures of the stream. None if video is not recorded."""
        self._is_black = False
        """Whether the stream has no picture of the publisher."""
        self._sound: OpusToAac | None = None
        """The sound of the stream."""
        self._is_other_publication = False
        """Whether another stream begins with the next keyframe, and pictures before it are left out."""
        self._stream_us = 0
        """When the stream began."""

    def begin(self, opening: StreamOpening, *, distance_us: int) -> None:
        """Begin the first stream of a part with the frames that were kept, all earlier by `distance_us`."""
        start_us = opening.start_us - distance_us
        self.is_open = True
        self._video = opening.video
        self._sound = OpusToAac(start_us=start_us)
        self._is_black = self._video is None and self._request.has_video
        self._start_stream(start_us)
        for placed in opening.frames:
            self.record(placed.frame, placed.time_us - distance_us, is_first=True)

    def end(self) -> int:
        """End the stream; return where it ends, in microseconds."""
        end_us = self._writer.end_us
        if self._sound is not None:
            end_us = max(end_us, self._sound.end_us)
            self._write_sounds(self._sound.finish(end_us))
        self.is_open = self._is_other_publication = False
        self._video = self._sound = None
        return self._writer.end_stream(end_us)

    def record(self, frame: TappedFrame, time_us: int, *, is_first: bool = False) -> None:
        """Record a frame. `is_first` says that the stream has begun with it: it begins no other one."""
        is_new_stream = frame.is_new_stream and not is_first
        if frame.kind is MediaKind.AUDIO:
            self._record_sound(frame, time_us, is_new_stream=is_new_stream)
        else:
            self._is_other_publication |= is_new_stream
            self._record_picture(frame, time_us)

    def fill_until(self, time_us: int) -> None:
        """No frame up to this time comes any more: fill what is missing, and complete the segments before it."""
        self._fill_sound(time_us)
        self._writer.advance(time_us)

    def may_begin(self) -> bool:
        """Whether another stream may begin. A recording that meets the limit is logged once."""
        is_admitted = self._limit.admits
        if not is_admitted and not self._has_logged_limit:
            self._has_logged_limit = True
            _log.warning(
                "a recording has too many discontinuities: its publisher changes its clock or its pictures too often",
                recording=self._request.recording_id,
            )
        return is_admitted

    def _start_stream(self, start_us: int) -> None:
        self._is_other_publication = False
        self._limit.count()
        self._stream_us = start_us
        if self._is_black:
            self._video = video_format(black_picture())
        self._writer.start_stream(
            video=self._video,
            sound=None if self._sound is None else self._sound.format,
            start_us=start_us,
            wall_clock_ms=self._timeline.wall_clock_ms(start_us),
        )
        if self._is_black:
            # The writer repeats it: it is a picture that does not change.
            self._writer.write_picture(EncodedPicture(time_us=start_us, body=black_picture(), is_keyframe=True))

    def _record_picture(self, frame: TappedFrame, time_us: int) -> None:
        if frame.is_keyframe:
            if not self._follow_format(frame, time_us):
                return
        elif self._is_other_publication or self._is_black:
            if self._limit.admits:
                self._request_keyframe()
            return
        # Before the picture: segments that it completes are written with the sound that there is.
        self._fill_sound(time_us - _SOUND_LAG_US)
        self._writer.write_picture(EncodedPicture(time_us=time_us, body=frame.body, is_keyframe=frame.is_keyframe))
        if self._thumbnails is not None:
            self._thumbnails.take_picture(time_us=time_us, body=frame.body, is_keyframe=frame.is_keyframe)

    def _follow_format(self, frame: TappedFrame, time_us: int) -> bool:
        """Begin another stream with a keyframe, if it needs one. Returns whether the keyframe can be recorded."""
        video = video_format(frame.body)
        if video is None:
            return False
        if video == self._video and not self._is_other_publication:
            return True
        if not self._may_start_stream(time_us):
            self._is_other_publication = True
            return False
        self._video, self._is_black = video, False
        self._start_stream(time_us)
        return True

    def _may_start_stream(self, time_us: int) -> bool:
        is_due = time_us - self._stream_us >= _MIN_STREAM_US and self._writer.accepts(time_us)
        return is_due and self.may_begin()

    def _record_sound(self, frame: TappedFrame, time_us: int, *, is_new_stream: bool) -> None:
        if self._sound is None:
            return
        if is_new_stream:
            self._sound.reset_decoder()
            self._fill_sound(time_us)
            # With pictures, the stream begins with the first keyframe of the other publication.
            has_no_pictures = self._video is None or self._is_black
            if has_no_pictures and self._may_start_stream(self._writer.end_us):
                self._start_stream(self._writer.end_us)
        self._write_sounds(self._sound.transcode(frame.body, time_us=time_us))

    def _fill_sound(self, until_us: int) -> None:
        if self._sound is not None:
            self._write_sounds(self._sound.fill_until(until_us))

    def _write_sounds(self, sounds: list[EncodedSound]) -> None:
        for sound in sounds:
            self._writer.write_sound(sound)
