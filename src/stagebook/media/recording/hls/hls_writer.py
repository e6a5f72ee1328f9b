"""Writes encoded pictures and sound as one HLS rendition, whose segments all begin with a keyframe.

A segment with pictures ends at the first keyframe after the asked duration, less _EARLY_US: encoders with a fixed
distance of keyframes are not exact. A keyframe is requested when the segment is due. Without pictures, segments end by
time.

    pictures   K--------------------|K--------------------|K-----
    sound      ---------------------|---------------------|-----    each frame in the segment in which it begins

What a publisher does not send must not make a segment endless:

* Pictures without a keyframe: after MAX_SEGMENT_SECONDS, or MAX_SEGMENT_BYTES, the last keyframe is written again as
  the first picture of the next segment, and pictures that depend on others are left out until the next keyframe.
* No pictures, while sound goes on (a stopped camera): the last picture is shown on, and segments of the asked duration
  begin with the last keyframe again.
* No sound up to a cut: the cut waits until pictures are _SOUND_WAIT_US further. Recorders fill such gaps with silence
  earlier.

A discontinuity is a cut at which the formats change.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from stagebook.media.recording.hls.encoded_media import (
    FRAME_SAMPLES,
    EncodedPicture,
    EncodedSound,
    SoundFormat,
    VideoFormat,
    samples_to_us,
)
from stagebook.media.recording.hls.pending_segment import PendingSegment, decode_time_us
from stagebook.media.recording.hls.rendition_output import RenditionOutput
from stagebook.media.recording.object_writer import ObjectWriter

MAX_SEGMENT_SECONDS: Final = 20
"""More than any common distance of keyframes: 250 frames, the default of x264, are 16.7 s at 15 frames per second."""
MAX_SEGMENT_BYTES: Final = 32_000_000
"""20 s at 12.8 Mbit/s, which is more than any publisher may send."""
_EARLY_US: Final = 500_000
"""How much a segment may be shorter than asked for."""
_REQUEST_LEAD_US: Final = 300_000
"""How long before a segment is due a keyframe is requested: about what a publisher needs to send it."""
_REQUEST_INTERVAL_US: Final = 1_000_000
_STALL_US: Final = 2_000_000
"""Pictures that are this much older than the sound have stopped."""
_STALL_SLACK_US: Final = 1_000_000
_SOUND_WAIT_US: Final = 3_000_000


class _Stream(msgspec.Struct, frozen=True, kw_only=True):
    """The formats of what follows a discontinuity."""

    video: VideoFormat | None
    sound: SoundFormat | None
    wall_clock_ms: int


class _Cut(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a segment. `stream` is set if it is a discontinuity."""

    time_us: int
    decode_us: int
    stream: _Stream | None = None


class HlsWriter:
    """One rendition below `media/hls/` of a recording."""

    def __init__(
        self,
        *,
        objects: ObjectWriter,
        rendition: str,
        segment_seconds: int,
        request_keyframe: Callable[[], None],
        journal: Callable[[bytes], None] | None = None,
    ) -> None:
        """`rendition` is the folder of the rendition: `high` for participants. `request_keyframe` is called when a
        segment is due. `journal` is called with bytes that must be on disk when it returns (`recording_journal`)."""
        self._segment_us = segment_seconds * 1_000_000
        self._request_keyframe = request_keyframe
        self._output = RenditionOutput(
            objects=objects, rendition=rendition, segment_seconds=segment_seconds, journal=journal
        )
        self._pending = PendingSegment()
        self._cuts: deque[_Cut] = deque()
        """The ends of segments that are known, but not complete, in order of time."""
        self._stream: _Stream | None = None
        """The stream of the oldest pending segment."""
        self._start_us = 0
        """Where the oldest pending segment starts."""
        self._origin_us: int | None = None
        """Where the first stream starts: the playlist counts from there."""
        self._keyframe: bytes | None = None
        """The newest keyframe of the newest stream."""
        self._needs_keyframe = True
        self._requested_us = -_REQUEST_INTERVAL_US
        self._keyframe_us = 0
        """When the newest keyframe was."""
        self._keyframe_interval_us = 0
        """The distance of the newest two keyframes. 0 if there are none."""

    @property
    def end_us(self) -> int:
        """Where the newest media ends."""
        return max(self._open_start_us, self._pending.picture_end_us, self._pending.sound_end_us)

    def accepts(self, time_us: int) -> bool:
        """Whether a stream may be started at a time: it is after all pictures and all ends of segments."""
        return self._stream is None or time_us > max(self._open_start_us, self._pending.last_time_us)

    def start_stream(
        self, *, video: VideoFormat | None, sound: SoundFormat | None, start_us: int, wall_clock_ms: int
    ) -> None:
        """Begin with these formats at `start_us`: at first, and at each discontinuity. One of both may be None.

        What is there is shown until `start_us`, which is not before `end_us` of a stream that was ended. The first
        picture must be a keyframe. `wall_clock_ms` is the time of the start, since the epoch.
        """
        stream = _Stream(video=video, sound=sound, wall_clock_ms=wall_clock_ms)
        self._keyframe, self._needs_keyframe = None, True
        if self._stream is None:
            self._begin(stream, start_us)
            return
        self._cuts.append(_Cut(time_us=start_us, decode_us=start_us, stream=stream))
        self._cut_complete()

    def write_picture(self, picture: EncodedPicture) -> None:
        """Add a picture. One that is not after the picture before it is left out, and so is one that depends on what
        was left out."""
        if self._newest_stream is None or self._newest_stream.video is None:
            return
        if not self._pending.follows(picture):
            self.lose_pictures()
            return
        self._fill_stall(picture.time_us)
        if not picture.is_keyframe and self._is_too_long(picture.time_us):
            self._repeat_keyframe(picture.time_us)
        if picture.is_keyframe:
            self._take_keyframe(picture)
        elif self._needs_keyframe:
            self._request(picture.time_us)
            return
        if self._pending.follows(picture):
            self._pending.add_picture(picture)
        if self._is_keyframe_due(picture.time_us):
            self._request(picture.time_us)
        self._cut_complete()

    def lose_pictures(self) -> None:
        """Pictures were left out: those that follow are left out as well, until a keyframe comes."""
        self._needs_keyframe = True

    def write_sound(self, sound: EncodedSound) -> None:
        """Add a frame of sound. One that overlaps the frame before it is left out, and so is one before the start."""
        middle_us = samples_to_us(sound.time_samples + FRAME_SAMPLES // 2)
        if self._newest_stream is None or middle_us < self._start_us:
            return
        self._pending.add_sound(sound)
        end_us = self._pending.sound_end_us
        if self._newest_stream.video is None and end_us - self._open_start_us >= self._segment_us:
            self._cuts.append(_Cut(time_us=end_us, decode_us=end_us))
        self.advance(end_us)

    def advance(self, time_us: int) -> None:
        """Let the time go on, without media: a picture that has been shown for too long begins another segment."""
        self._fill_stall(time_us)
        self._cut_complete()

    def end_stream(self, end_us: int | None = None) -> int:
        """Write all segments and the playlist so far. Returns where the stream ends, in microseconds.

        It ends at `end_us`, or with its media: the last frame of sound is longer than what is in it. Another stream may
        be started, at the time that is returned.
        """
        end_us = self.end_us if end_us is None else end_us
        while self._cuts:
            self._finish(self._cuts.popleft())
        if self._stream is not None:
            self._finish(_Cut(time_us=end_us, decode_us=end_us))
            self._output.put_playlist(is_complete=False)
        self._stream = None
        return max(end_us, self._start_us)

    def end(self) -> int:
        """Write the last segment and the complete playlists. Returns the duration of all segments in milliseconds."""
        self.end_stream()
        if self._output.duration_ms:
            self._output.put_playlist(is_complete=True)
        return self._output.duration_ms

    @property
    def _open_start_us(self) -> int:
        """Where the newest segment starts."""
        return self._cuts[-1].time_us if self._cuts else self._start_us

    @property
    def _newest_stream(self) -> _Stream | None:
        return next((cut.stream for cut in reversed(self._cuts) if cut.stream is not None), self._stream)

    def _begin(self, stream: _Stream, start_us: int) -> None:
        self._stream, self._start_us = stream, start_us
        self._origin_us = start_us if self._origin_us is None else self._origin_us
        self._output.begin_stream(stream.video, stream.sound, wall_clock_ms=stream.wall_clock_ms)

    def _take_keyframe(self, picture: EncodedPicture) -> None:
        self._keyframe, self._needs_keyframe = picture.body, False
        self._keyframe_interval_us = picture.time_us - self._keyframe_us
        self._keyframe_us = picture.time_us
        if picture.time_us - self._open_start_us >= self._segment_us - _EARLY_US:
            self._cuts.append(_Cut(time_us=picture.time_us, decode_us=decode_time_us(picture)))

    def _is_keyframe_due(self, time_us: int) -> bool:
        """Whether to request a keyframe: the segment is due, and none is expected from an encoder that sends them at an
        interval."""
        due_us = self._open_start_us + self._segment_us
        expected_us = self._keyframe_us + self._keyframe_interval_us
        is_expected = expected_us <= due_us + _EARLY_US and time_us <= expected_us + _EARLY_US
        return time_us >= due_us - _REQUEST_LEAD_US and not is_expected

    def _request(self, time_us: int) -> None:
        if time_us - self._requested_us >= _REQUEST_INTERVAL_US:
            self._requested_us = time_us
            self._request_keyframe()

    def _is_too_long(self, time_us: int) -> bool:
        """Whether the newest segment must not go on to a time."""
        length_us = time_us - self._open_start_us
        is_too_large = self._pending.size_bytes > MAX_SEGMENT_BYTES and length_us > 0
        return length_us >= MAX_SEGMENT_SECONDS * 1_000_000 or is_too_large

    def _fill_stall(self, until_us: int) -> None:
        """Begin segments with the last keyframe, if there was no picture for long before a time."""
        while (
            until_us - self._pending.last_time_us >= _STALL_US
            and until_us - self._open_start_us >= self._segment_us + _STALL_SLACK_US
            and self._keyframe is not None
        ):
            self._repeat_keyframe(max(self._open_start_us + self._segment_us, self._pending.last_time_us + 1_000))

    def _repeat_keyframe(self, time_us: int) -> None:
        """Begin a segment with the last keyframe. Pictures that depend on others are left out until the next one."""
        if self._keyframe is None:
            return
        picture = EncodedPicture(time_us=time_us, body=self._keyframe, is_keyframe=True)
        self._cuts.append(_Cut(time_us=time_us, decode_us=time_us))
        self._pending.add_picture(picture)
        self._needs_keyframe = True
        self._request(time_us)

    def _cut_complete(self) -> None:
        while self._cuts and self._has_sound_until(self._cuts[0].time_us):
            self._finish(self._cuts.popleft())

    def _has_sound_until(self, time_us: int) -> bool:
        if self._stream is None or self._stream.sound is None or self._pending.sound_end_us >= time_us:
            return True
        return self._pending.last_time_us - time_us >= _SOUND_WAIT_US

    def _finish(self, cut: _Cut) -> None:
        """Write the oldest segment, and begin the next one."""
        pictures = self._pending.take_pictures(cut.decode_us)
        sounds = self._pending.take_sounds(cut.time_us)
        stream = self._stream
        if stream is not None and cut.time_us > self._start_us and (pictures or sounds):
            self._output.put_segment(
                pictures if stream.video is not None else [],
                sounds if stream.sound is not None else [],
                end_us=cut.time_us - (self._origin_us or 0),
            )
            self._start_us = cut.time_us
        if cut.stream is not None:
            self._begin(cut.stream, cut.time_us)
