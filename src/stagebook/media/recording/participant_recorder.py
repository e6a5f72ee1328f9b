"""Records one participant: tapped frames to an HLS recording with its metadata and thumbnails.

A recording is a sequence of streams (`recorded_stream`):

* The first one begins when both kinds have come, or one has been waited for (`stream_opening`). A recording of audio
  and video has both tracks in any case: silence, or a black picture (`black_picture`).
* Another one begins, without a gap, at a keyframe with other parameter sets, and with another publication.
* After the end of a part, a jump of the source's time (`frame_clock`), or a pause of this process, another one begins
  as the first one did, where the recording ended.

Whatever a publisher sends, `stream_rate_limit` bounds how many streams begin. Above the limit the stream goes on:
another clock is mapped to that of the recording, and the media of another part are left out until another stream may
begin.
"""

from collections.abc import Callable
from typing import Final

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.recording.frame_clock import ClockedFrame, FrameClock
from stagebook.media.recording.hls.hls_writer import HlsWriter
from stagebook.media.recording.object_writer import ObjectWriter
from stagebook.media.recording.recorded_stream import RecordedStream
from stagebook.media.recording.recording_documents import RecordingDocuments
from stagebook.media.recording.recording_metadata import PARTICIPANT_RENDITION, RecordingStatus
from stagebook.media.recording.recording_port import RecordingRequest
from stagebook.media.recording.recording_timeline import RecordingTimeline
from stagebook.media.recording.stream_opening import StreamOpening
from stagebook.media.recording.thumbnails.thumbnail_writer import ThumbnailMaker, ThumbnailWriter
from stagebook.media.tap.tapped_frame import TappedFrame

UNSUPPORTED_CODEC: Final = "Video codec not supported for recording"
"""AWS's reason for a publisher whose video is not H.264 (user guide, "Using Amazon EventBridge")."""
_REQUEST_INTERVAL_MS: Final = 500
_MAX_PAUSE_MS: Final = 30_000
"""Ticks come each second. After such a time without one the process was stopped, or the wall clock was set: what has
passed is no gap in the media, and it could be days."""
_TICK_LAG_US: Final = 3_000_000
"""How much later than the wall clock says media may arrive."""


class UnsupportedVideoError(Exception):
    """The publisher sends video that is not recorded: its codec is not H.264."""

    def __init__(self, *, duration_ms: int) -> None:
        """`duration_ms` is what was recorded before; 0 if the recording could not start."""
        super().__init__(UNSUPPORTED_CODEC)
        self.duration_ms = duration_ms


class ParticipantRecorder:
    """One recording, with all of its parts."""

    def __init__(
        self,
        *,
        request: RecordingRequest,
        objects: ObjectWriter,
        journal: Callable[[bytes], None],
        request_keyframe: Callable[[], None],
        now_ms: Callable[[], int],
        make_thumbnail: ThumbnailMaker | None = None,
    ) -> None:
        """`journal` appends bytes to a file of the recording, which must be in the file when it returns; it is read by
        `recover_recording`. `now_ms` returns the wall-clock time in milliseconds since the epoch."""
        self._request = request
        self._objects = objects
        self._documents = RecordingDocuments(request, objects=objects, journal=journal)
        self._keyframe_requester = request_keyframe
        self._requested_ms = 0
        self._now_ms = now_ms
        self._seen_ms = now_ms()
        """The wall-clock time of the last frame or tick."""
        self._timeline = RecordingTimeline(now_ms=now_ms)
        self._writer = HlsWriter(
            objects=objects,
            rendition=PARTICIPANT_RENDITION,
            segment_seconds=request.segment_seconds,
            request_keyframe=self._request_keyframe,
            journal=journal,
        )
        self._thumbnails = self._make_thumbnails(make_thumbnail)
        self._stream = RecordedStream(
            request=request,
            writer=self._writer,
            timeline=self._timeline,
            thumbnails=self._thumbnails,
            request_keyframe=self._request_keyframe,
            now_ms=now_ms,
        )
        self._clock = FrameClock(self._timeline, now_ms=now_ms, may_begin_part=self._stream.may_begin)
        self._opening: StreamOpening | None = None
        self._end_us = 0
        """Where the newest part that has ended ends."""
        self._is_closed = False
        self._duration_ms = 0
        self._ended_ms = 0

    @property
    def is_recording(self) -> bool:
        """Whether media was written. It stays true at the end."""
        return self._documents.has_begun

    def receive(self, frame: TappedFrame) -> None:
        """Take the next frame. Frames after the end are ignored.

        Raises UnsupportedVideoError: the recording has failed, and its metadata says so.
        """
        if self._is_closed or (frame.kind is MediaKind.VIDEO and not self._request.has_video):
            return
        if frame.kind is MediaKind.VIDEO and frame.codec is not Codec.H264:
            raise UnsupportedVideoError(duration_ms=self.fail(UNSUPPORTED_CODEC))
        self._notice_pause()
        for timed in self._clock.take(frame):
            self._receive_timed(timed)

    def _receive_timed(self, timed: ClockedFrame) -> None:
        if timed.begins_part:
            self.end_part()
        if self._timeline.is_between_parts and not self._stream.may_begin():
            return
        frame = timed.frame
        time_us = self._timeline.place(frame.kind, frame.time_us, arrived_ms=timed.arrived_ms)
        if self._stream.is_open:
            if timed.is_after_gap and frame.kind is MediaKind.VIDEO:
                self._writer.lose_pictures()
            self._stream.record(frame, time_us)
            return
        if self._opening is None:
            self._opening = StreamOpening(time_us=time_us, has_video=self._request.has_video)
        self._opening.add(frame, time_us)
        if self._opening.is_ready(time_us):
            self._begin_stream(self._opening)

    def tick(self) -> None:
        """Do what is due by the wall clock. To be called about every second."""
        self._notice_pause()
        now_us = self._timeline.now_us
        if now_us is None or self._is_closed:
            return
        if self._opening is not None:
            if self._opening.is_ready(now_us):
                self._begin_stream(self._opening)
            elif self._opening.needs_keyframe:
                self._request_keyframe()
        elif self._stream.is_open:
            self._stream.fill_until(now_us - _TICK_LAG_US)

    def fill_until(self, source_us: int) -> None:
        """The source has sent media up to this time, on the timeline of its frames, and no more frames of it come: what
        was lost at the end is a gap like any other."""
        time_us = self._timeline.end_us(source_us) if self._stream.is_open and not self._is_closed else None
        if time_us is not None:
            self._stream.fill_until(time_us)

    def end_part(self) -> None:
        """The publisher has stopped and may return: write what there is. Frames after it belong to a new part."""
        if self._opening is not None and self._opening.frames:
            self._begin_stream(self._opening)
        self._opening = None
        if self._stream.is_open:
            self._end_us = self._stream.end()
        self._timeline.resume_at(self._end_us)

    def _notice_pause(self) -> None:
        """End the part if neither frames nor ticks have come for long."""
        now_ms = self._now_ms()
        has_paused, self._seen_ms = now_ms - self._seen_ms > _MAX_PAUSE_MS, now_ms
        if has_paused and not self._is_closed:
            self.end_part()

    def end(self) -> int:
        """Complete the recording. Returns its duration in milliseconds; 0 if no media has come, and nothing was put."""
        return self._complete(RecordingStatus.ENDED, None)

    def fail(self, message: str) -> int:
        """Complete the recording as far as it got, with the metadata of a failure. Returns its duration in
        milliseconds."""
        if self._documents.has_begun:
            return self._complete(RecordingStatus.ENDED_WITH_FAILURE, message)
        self._opening = None
        return self._complete(RecordingStatus.START_FAILED, message)

    def fail_upload(self, message: str) -> None:
        """The recording has ended, and its store does not have it: other metadata say so in place of those of the
        end."""
        if self._documents.has_begun and self._is_closed:
            self._put_end(RecordingStatus.ENDED_WITH_FAILURE, message)

    def _complete(self, status: RecordingStatus, message: str | None) -> int:
        if self._is_closed:
            return self._duration_ms
        self.end_part()
        self._is_closed = True
        if not self._documents.has_begun and status is RecordingStatus.ENDED:
            return 0
        if self._thumbnails is not None:
            self._thumbnails.finish()
        self._ended_ms = self._now_ms()
        self._duration_ms = self._writer.end()
        self._put_end(status, message)
        return self._duration_ms

    def _put_end(self, status: RecordingStatus, message: str | None) -> None:
        self._documents.end(status, message, ended_ms=self._ended_ms, duration_ms=self._duration_ms)

    def _begin_stream(self, opening: StreamOpening) -> None:
        """Begin the first stream of a part with the frames that were kept."""
        self._opening = None
        self._documents.begin()
        distance_us = self._timeline.start_part_at(opening.start_us)
        self._stream.begin(opening, distance_us=distance_us)

    def _request_keyframe(self) -> None:
        now_ms = self._now_ms()
        if now_ms - self._requested_ms >= _REQUEST_INTERVAL_MS:
            self._requested_ms = now_ms
            self._keyframe_requester()

    def _make_thumbnails(self, make: ThumbnailMaker | None) -> ThumbnailWriter | None:
        settings = self._request.thumbnails
        if settings is None or not self._request.has_video:
            return None
        return ThumbnailWriter(
            objects=self._objects,
            settings=settings,
            folder=PARTICIPANT_RENDITION,
            request_keyframe=self._request_keyframe,
            make=make,
        )
