"""The timeline of a recording: it starts at 0 with the first media, and has no gaps between parts.

Within a part, the source's own time is used: whatever a publisher does not send is a gap in its media, which the
recording fills. A time is accepted if it agrees with what was placed before:

* Audio leads. It follows its own newest packet, or, after a silence of HEARD_MS, the newest media.
* Video is at most MAX_SKEW_US away from audio. Without audio, it follows the newest media.
* No time is more than MAX_LEAD_US ahead of the wall clock that has passed. That clock is followed at 1 %, so that a
  publisher's clock may drift.

`frame_clock` decides about a time that does not agree. It may move one kind of media or both: they then continue where
the recording is. The work that a gap causes is therefore bounded by the time that has really passed.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from stagebook.media.codecs.codec_names import MediaKind

MAX_LEAD_US: Final = 10_000_000
"""How far media may be ahead of the wall clock: more than any queue between a publisher and the recorder holds."""
MAX_SKEW_US: Final = 2_000_000
"""How far media may be from the media before it: the kinds arrive with different delays."""
HEARD_MS: Final = 1_000
"""A kind without media for this long does not lead. Opus sends a packet every 400 ms in silence (DTX)."""
_FOLLOWED_SHARE: Final = 0.01


class _Track(msgspec.Struct, kw_only=True):
    """One kind of media in the open part."""

    shift_us: int = 0
    """What is added to its source time, apart from the offset of the part."""
    newest_us: int | None = None
    """The time of its newest frame. None before the first one."""
    newest_ms: int = 0
    """When that frame arrived."""

    def is_heard(self, now_ms: int) -> bool:
        return self.newest_us is not None and now_ms - self.newest_ms <= HEARD_MS

    def expected_us(self, now_ms: int) -> int:
        return (self.newest_us or 0) + max(now_ms - self.newest_ms, 0) * 1_000


class RecordingTimeline:
    """Places the frames of one recording."""

    def __init__(self, *, now_ms: Callable[[], int]) -> None:
        """`now_ms` returns the wall-clock time in milliseconds since the epoch."""
        self._now_ms = now_ms
        self._offset_us: int | None = None
        """Recording time minus source time. None between parts."""
        self._resume_us = 0
        self._tracks = {kind: _Track() for kind in MediaKind}
        self._newest = _Track()
        """The newest frame of both kinds."""
        self._anchor_us = 0
        self._anchor_ms = 0
        self._paced_us = 0
        """The recording time that the wall clock alone gives at `_paced_ms`."""
        self._paced_ms = 0
        self._lead_us = 0
        """How far the part before was ahead of the wall clock."""

    @property
    def is_between_parts(self) -> bool:
        """Whether the next frame begins a part."""
        return self._offset_us is None

    def agrees(self, kind: MediaKind, source_time_us: int) -> bool:
        """Whether a frame belongs to the open part: false if its time cannot be right, and between parts."""
        if self._offset_us is None:
            return False
        now_ms = self._now_ms()
        time_us = source_time_us + self._offset_us + self._tracks[kind].shift_us
        leader = self._leader(now_ms)
        if leader.newest_us is None or time_us < leader.newest_us - MAX_SKEW_US:
            return False
        expected_us, paced_us = leader.expected_us(now_ms), self._paced_at(now_ms)
        if leader is not self._tracks[MediaKind.AUDIO] or kind is MediaKind.AUDIO:
            # Media that waited may be followed by media that did not.
            expected_us = max(expected_us, paced_us)
        return time_us <= min(expected_us + MAX_SKEW_US, paced_us + MAX_LEAD_US)

    def is_heard(self, kind: MediaKind) -> bool:
        """Whether media of a kind was placed in the last HEARD_MS."""
        return self._tracks[kind].is_heard(self._now_ms())

    def place(self, kind: MediaKind, source_time_us: int, *, arrived_ms: int | None = None) -> int:
        """Return the time of the next frame. The first frame of a part begins where the timeline ended. `arrived_ms` is
        when it arrived, if that was not at this moment."""
        arrived_ms = self._now_ms() if arrived_ms is None else arrived_ms
        if self._offset_us is None:
            self._begin_part(source_time_us, arrived_ms)
        track = self._tracks[kind]
        time_us = source_time_us + (self._offset_us or 0) + track.shift_us
        for each in (track, self._newest):
            if each.newest_us is None or time_us >= each.newest_us:
                each.newest_us, each.newest_ms = time_us, arrived_ms
        self._follow(time_us, arrived_ms)
        return time_us

    def move(self, kind: MediaKind, source_time_us: int) -> None:
        """Let a source time of one kind be the present, by the media of the other kind."""
        track, now_ms = self._tracks[kind], self._now_ms()
        leader = self._tracks[MediaKind.AUDIO if kind is MediaKind.VIDEO else MediaKind.VIDEO]
        leader = self._newest if leader.newest_us is None else leader
        track.shift_us = leader.expected_us(now_ms) - source_time_us - (self._offset_us or 0)
        track.newest_us = None

    def move_all(self, source_time_us: int) -> None:
        """Let a source time of both kinds be the present."""
        self._offset_us = self._newest.expected_us(self._now_ms()) - source_time_us
        self._tracks = {kind: _Track() for kind in MediaKind}

    def start_part_at(self, time_us: int) -> int:
        """Make a time of the open part its start: nothing before it is recorded. Returns the distance that is to be
        subtracted from the times that were returned for it."""
        distance_us = time_us - self._anchor_us
        if self._offset_us is not None:
            self._offset_us -= distance_us
        for track in (*self._tracks.values(), self._newest):
            if track.newest_us is not None:
                track.newest_us -= distance_us
        self._paced_us -= distance_us
        # The moment of the new anchor is later by the same distance.
        self._anchor_ms += distance_us // 1_000
        return distance_us

    def resume_at(self, time_us: int) -> None:
        """Let the next part begin at a time, at which the recording ends until then."""
        if self._offset_us is not None:
            lead_us = time_us - self._paced_at(self._now_ms())
            # The rest of the lead allows frames of the next part to arrive unevenly.
            self._lead_us = max(0, min(lead_us, MAX_LEAD_US - MAX_SKEW_US))
        self._offset_us, self._resume_us = None, time_us

    def end_us(self, source_time_us: int) -> int | None:
        """Return the time up to which the source has sent media. None between parts, and if it cannot be right."""
        kind = max(MediaKind, key=lambda each: self._tracks[each].newest_us or -1)
        if not self.agrees(kind, source_time_us):
            return None
        return self.place(kind, source_time_us)

    @property
    def now_us(self) -> int | None:
        """The time of the media that arrives now. None between parts."""
        return None if self._offset_us is None else self._newest.expected_us(self._now_ms())

    def wall_clock_ms(self, time_us: int) -> int:
        """Return when a time of the open part was, in milliseconds since the epoch."""
        return self._anchor_ms + round((time_us - self._anchor_us) / 1_000)

    def _begin_part(self, source_time_us: int, arrived_ms: int) -> None:
        self._offset_us = self._resume_us - source_time_us
        self._tracks = {kind: _Track() for kind in MediaKind}
        self._newest = _Track()
        self._anchor_us, self._anchor_ms = self._resume_us, arrived_ms
        self._paced_us, self._paced_ms = self._resume_us - self._lead_us, arrived_ms

    def _leader(self, now_ms: int) -> _Track:
        """The track whose newest frame says what time it is."""
        audio = self._tracks[MediaKind.AUDIO]
        return audio if audio.is_heard(now_ms) else self._newest

    def _paced_at(self, now_ms: int) -> int:
        return self._paced_us + max(now_ms - self._paced_ms, 0) * 1_000

    def _follow(self, time_us: int, now_ms: int) -> None:
        """Let the wall clock's time come closer to media that is ahead of it."""
        passed_us = max(now_ms - self._paced_ms, 0) * 1_000
        self._paced_us, self._paced_ms = self._paced_at(now_ms), max(now_ms, self._paced_ms)
        self._paced_us += max(0, min(time_us - self._paced_us, round(passed_us * _FOLLOWED_SHARE)))
