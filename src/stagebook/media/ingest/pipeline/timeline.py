"""The encoder's clock: the time of each frame on the clock of the stream.

RTMP gives every message a timestamp in milliseconds: the decoding time of a video frame, the presentation time of an
audio frame. Both tracks share one clock, which may start anywhere. Its times are used as they are, as long as it runs
on. With `newest` as the newest time of the stream, of either track, the next frame of a track is on the clock if it is

* at most MAX_STEP_MS after `newest`;
* at most MAX_STEP_MS before `newest`, because one track may be sent later than the other;
* at most MAX_STEP_BACK_MS before the newest frame of its own track, because muxers make small steps back.

The rules compare with the stream and not with the track, so a track may pause for any time (a muted microphone, an app
in the background) while the other one runs.

A timestamp that is not on the clock is a jump: the encoder has set its clock, or has restarted its source. Stream time
does not jump, because viewers would stop. It runs on by the time that has really passed, and the new clock is mapped to
it by an offset:

    stream time = timestamp + offset of the track

Usually both tracks jump, one message after the other. The second track then finds that the offset of the first one fits
its timestamps too, and takes it over: audio and video stay exactly as far apart as the encoder sent them. A track that
jumps alone keeps an offset of its own; it is in sync as exactly as its messages are sent.

A clock that jumps too often is an error: MAX_JUMPS within JUMPS_WINDOW_SECONDS are INVALID_INPUT.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import invalid_input

MAX_STEP_MS: Final = 10_000
MAX_STEP_BACK_MS: Final = 1_000
MAX_JUMPS: Final = 10
JUMPS_WINDOW_SECONDS: Final = 60.0

_OTHER: Final = {MediaKind.AUDIO: MediaKind.VIDEO, MediaKind.VIDEO: MediaKind.AUDIO}
_MAX_FRAME_MS: Final = 100
"""The longest step between two frames of a track that is assumed to go on after a jump."""


class _TrackTime:
    """The times of one track."""

    __slots__ = ("frame_ms", "newest_ms", "offset_ms")

    def __init__(self) -> None:
        self.offset_ms = 0
        self.newest_ms: int | None = None
        """The newest time of the track, on the clock of the stream. None before its first frame."""
        self.frame_ms = 0
        """The latest step between two frames."""


class Timeline:
    """Maps the timestamp of each video and audio frame, in the order of arrival, to stream time in milliseconds."""

    def __init__(self, *, clock: Callable[[], float], on_jump: Callable[[MediaKind, int], None]) -> None:
        """`clock` returns monotonic seconds. `on_jump` is called with the track and the distance of its timestamp from
        the newest time of the stream, in milliseconds, when a jump has been mapped."""
        self._clock = clock
        self._on_jump = on_jump
        self._tracks = {kind: _TrackTime() for kind in MediaKind}
        self._newest_ms: int | None = None
        self._placed_at = 0.0
        """When the latest frame was placed, by the clock."""
        self._jumps: deque[float] = deque(maxlen=MAX_JUMPS)
        """When the latest jumps were."""

    def place_video(self, timestamp_ms: int) -> int:
        """Return the decoding time of the next video frame.

        It is at least 1 ms after that of the previous frame, so that no two frames share an RTP timestamp. Raises
        InputFaultError (INPUT) for too many jumps.
        """
        last_ms = self._tracks[MediaKind.VIDEO].newest_ms
        time_ms = self._place(MediaKind.VIDEO, timestamp_ms)
        if last_ms is not None and time_ms <= last_ms:
            time_ms = last_ms + 1
        self._advance(MediaKind.VIDEO, time_ms)
        return time_ms

    def follow_video(self, timestamp_ms: int) -> int | None:
        """Return the decoding time of a frame of a further video track, by the clock of the first one.

        Returns None for a timestamp that is not on that clock. Neither the clock nor any track is changed.
        """
        track = self._tracks[MediaKind.VIDEO]
        time_ms = timestamp_ms + track.offset_ms
        return time_ms if self._is_on_clock(track, time_ms) else None

    def place_audio(self, timestamp_ms: int) -> int:
        """Return the presentation time of the next audio frame. `AudioClock` corrects small steps back.

        Raises InputFaultError (INPUT) for too many jumps.
        """
        time_ms = self._place(MediaKind.AUDIO, timestamp_ms)
        self._advance(MediaKind.AUDIO, time_ms)
        return time_ms

    def _place(self, kind: MediaKind, timestamp_ms: int) -> int:
        track = self._tracks[kind]
        if self._is_on_clock(track, timestamp_ms + track.offset_ms):
            return timestamp_ms + track.offset_ms
        # The order matters: as long as its own offset fits, a track keeps it. Late messages of the old clock may follow
        # the other track's jump.
        other_ms = timestamp_ms + self._tracks[_OTHER[kind]].offset_ms
        if self._is_on_clock(track, other_ms):
            track.offset_ms = other_ms - timestamp_ms
            return other_ms
        return self._jump(kind, timestamp_ms)

    def _is_on_clock(self, track: _TrackTime, time_ms: int) -> bool:
        if self._newest_ms is None:
            return True
        if track.newest_ms is not None and time_ms < track.newest_ms - MAX_STEP_BACK_MS:
            return False
        return abs(time_ms - self._newest_ms) <= MAX_STEP_MS

    def _jump(self, kind: MediaKind, timestamp_ms: int) -> int:
        """Map a timestamp that is not on the clock: the track goes on where the stream is."""
        track, newest_ms, now = self._tracks[kind], self._newest_ms or 0, self._clock()
        if len(self._jumps) == MAX_JUMPS and now - self._jumps[0] < JUMPS_WINDOW_SECONDS:
            raise invalid_input(
                f"the timestamps jumped more than {MAX_JUMPS} times in {JUMPS_WINDOW_SECONDS:g} s; "
                f"the {kind} is now {timestamp_ms + track.offset_ms - newest_ms} ms off"
            )
        self._jumps.append(now)
        # The time that has really passed, not 0: viewers' clocks have run on, and sender reports map RTP timestamps to
        # them. The second value keeps a track's own frames apart when both tracks are at the same time.
        passed_ms = round((now - self._placed_at) * 1_000)
        time_ms = max(newest_ms + passed_ms, newest_ms if track.newest_ms is None else track.newest_ms + track.frame_ms)
        distance_ms = timestamp_ms + track.offset_ms - newest_ms
        track.offset_ms = time_ms - timestamp_ms
        self._on_jump(kind, distance_ms)
        return time_ms

    def _advance(self, kind: MediaKind, time_ms: int) -> None:
        track = self._tracks[kind]
        if track.newest_ms is None or time_ms > track.newest_ms:
            if track.newest_ms is not None:
                track.frame_ms = min(time_ms - track.newest_ms, _MAX_FRAME_MS)
            track.newest_ms = time_ms
        if self._newest_ms is None or time_ms > self._newest_ms:
            self._newest_ms = time_ms
        self._placed_at = self._clock()
