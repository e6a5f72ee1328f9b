"""The timeline of a recording: it starts at 0 with the first media, and has no gaps between parts.

Within a part, the source's own time is used: whatever a publisher does not send is a gap in its media, which the
recording fills. Source time is believed as long as it agrees with the wall clock: it may not be more than
MAX_DEVIATION_US away from the newest media and what has passed since that arrived. A time that does not agree is a
fault of the source, and begins another part. So the work that a gap causes is bounded by the time that has really
passed.
"""

from collections.abc import Callable
from typing import Final

MAX_DEVIATION_US: Final = 10_000_000
"""More than what waits anywhere between a publisher and the recorder."""
MAX_BACK_US: Final = 2_000_000
"""How much older than the newest media a frame may be: the kinds arrive with different delays."""


class RecordingTimeline:
    """Places the frames of one recording."""

    def __init__(self, *, now_ms: Callable[[], int]) -> None:
        """`now_ms` returns the wall-clock time in milliseconds since the epoch."""
        self._now_ms = now_ms
        self._offset_us: int | None = None
        """Recording time minus source time. None between parts."""
        self._resume_us = 0
        self._newest_us = 0
        self._newest_ms = 0
        self._anchor_us = 0
        self._anchor_ms = 0

    def agrees(self, source_time_us: int) -> bool:
        """Whether a frame belongs to the open part: false if its time cannot be right, and between parts."""
        if self._offset_us is None:
            return False
        time_us = source_time_us + self._offset_us
        passed_us = max(self._now_ms() - self._newest_ms, 0) * 1_000
        return self._newest_us - MAX_BACK_US <= time_us <= self._newest_us + passed_us + MAX_DEVIATION_US

    def place(self, source_time_us: int) -> int:
        """Return the time of the next frame. The first frame of a part begins where the timeline ended."""
        now_ms = self._now_ms()
        if self._offset_us is None:
            self._offset_us = self._resume_us - source_time_us
            self._newest_us = self._anchor_us = self._resume_us
            self._newest_ms = self._anchor_ms = now_ms
        time_us = source_time_us + self._offset_us
        if time_us >= self._newest_us:
            self._newest_us, self._newest_ms = time_us, now_ms
        return time_us

    def start_part_at(self, time_us: int) -> int:
        """Make a time of the open part its start: nothing before it is recorded. Returns the distance that is to be
        subtracted from the times that were returned for it."""
        distance_us = time_us - self._anchor_us
        if self._offset_us is not None:
            self._offset_us -= distance_us
        self._newest_us -= distance_us
        # The moment of the new anchor is later by the same distance.
        self._anchor_ms += distance_us // 1_000
        return distance_us

    def resume_at(self, time_us: int) -> None:
        """Let the next part begin at a time, at which the recording ends until then."""
        self._offset_us, self._resume_us = None, time_us

    @property
    def now_us(self) -> int | None:
        """The time of the media that arrives now. None between parts."""
        if self._offset_us is None:
            return None
        return self._newest_us + max(self._now_ms() - self._newest_ms, 0) * 1_000

    def wall_clock_ms(self, time_us: int) -> int:
        """Return when a time of the open part was, in milliseconds since the epoch."""
        return self._anchor_ms + round((time_us - self._anchor_us) / 1_000)
