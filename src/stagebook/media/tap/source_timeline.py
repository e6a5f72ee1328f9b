"""The timeline of a tapped source: one time for audio and video, which goes on from publisher to publisher. Sans-I/O.

Time is in microseconds. It begins at ORIGIN_US when the tap begins, so that what lies a little before the first frame
has a time as well. Within a publisher it runs by the publisher's clock (`stream_clock`); between two publishers it runs
by the clock of this process.

Time does not run back, and it does not jump. A kind whose clock falls back by a little waits for it. One whose clock
jumps by more, by itself or by a sender report that is wrong, goes on by what has passed since its last frame.
"""

from typing import Final

from stagebook.media.codecs.codec_names import MediaKind

ORIGIN_US: Final = 1_000_000
MIN_STEP_US: Final = 1_000
"""The least time between two frames of a kind. Containers count in units as coarse as a millisecond."""
MAX_BACK_US: Final = 5_000_000
"""How far a clock may fall back. Until it has caught up, its frames are MIN_STEP_US apart."""
MAX_AHEAD_US: Final = 10_000_000
"""How much more than what has passed a clock may advance: a frame may follow others that have waited."""


class SourceTimeline:
    """The timeline of one tap."""

    def __init__(self, now: float) -> None:
        """`now` is in monotonic seconds, also below."""
        self._zero = now - ORIGIN_US / 1e6
        """The time of this process's clock that is 0 on the timeline."""
        self._last = dict.fromkeys(MediaKind, 0)
        self._shift_us = dict.fromkeys(MediaKind, 0.0)
        """What is added to the times of a kind whose clock has jumped."""
        self._claimed_us = dict.fromkeys(MediaKind, 0.0)
        """When the last frame of a kind was claimed."""

    def arrival_us(self, now: float) -> float:
        """The time on the timeline of something that happens now."""
        return (now - self._zero) * 1e6

    def last_us(self, kind: MediaKind) -> int:
        """The time of the last frame of a kind; 0 before the first."""
        return self._last[kind]

    def end_us(self, newest_us: float | None) -> int | None:
        """The end of everything so far: the last frame of both kinds, or `newest_us` if that is later. None before the
        first frame."""
        last_us = max(self._last.values())
        return max(last_us, round(newest_us or 0)) if last_us else None

    def begin(self, now: float) -> None:
        """Another publisher begins: its time comes after all frames so far, also if the last clock was fast."""
        self._shift_us = dict.fromkeys(MediaKind, 0.0)
        ahead = max(self._last.values()) + MIN_STEP_US - self.arrival_us(now)
        if ahead > 0:
            self._zero -= ahead / 1e6

    def claim(self, kind: MediaKind, time_us: float, now: float) -> int:
        """Return the time of the next frame of a kind: the given one, or the next after the frame before it.

        `now` is when it arrived, in monotonic seconds.
        """
        last_us, arrival_us = self._last[kind], self.arrival_us(now)
        passed_us = max(arrival_us - self._claimed_us[kind], 0.0)
        self._claimed_us[kind] = arrival_us
        step_us = time_us + self._shift_us[kind] - last_us
        if last_us and not -MAX_BACK_US <= step_us <= passed_us + MAX_AHEAD_US:
            self._shift_us[kind] += passed_us - step_us
        time_us += self._shift_us[kind]
        self._last[kind] = max(round(time_us), self._last[kind] + MIN_STEP_US)
        return self._last[kind]
