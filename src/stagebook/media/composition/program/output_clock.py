"""The clock of a program: which frame is to be made, and when.

Frame n is due n / rate seconds after the start, so the rate is exact over any time. A machine that is too slow catches
up in two steps: a frame that is late repeats the picture of the one before, which is cheap to encode, and frames that
are too late are left out. The time of each frame that is made stays right in any case.
"""

from fractions import Fraction
from typing import Final

import msgspec

MAX_REPEATS: Final = 3
"""Maximum number of consecutive repeated pictures. The next one is drawn even if it is late."""
MAX_LATE_FRAMES: Final = 8
"""Frames that are later than this many frames are left out."""


class FrameStep(msgspec.Struct, frozen=True, kw_only=True):
    """A frame to make now."""

    number: int
    repeats: bool
    """Whether it has the picture of the frame before."""


class OutputClock:
    """Counts the frames of a program. Times are seconds since its start."""

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._number = 0
        self._repeats = 0
        self.repeated_frames = 0
        self.omitted_frames = 0

    @property
    def next_number(self) -> int:
        """The number of the next frame."""
        return self._number

    def due_seconds(self) -> float:
        """When the next frame is due."""
        return float(self._number / self._rate)

    def step(self, now_seconds: float) -> FrameStep:
        """Return the frame to make now. To be called when it is due."""
        current = int(now_seconds * self._rate)
        if current - self._number > MAX_LATE_FRAMES:
            self.omitted_frames += current - self._number
            self._number, self._repeats = current, 0
        is_late = current > self._number
        repeats = is_late and self._number > 0 and self._repeats < MAX_REPEATS
        self._repeats = self._repeats + 1 if repeats else 0
        self.repeated_frames += repeats
        step = FrameStep(number=self._number, repeats=repeats)
        self._number += 1
        return step

    def due_samples(self, number: int, *, samples_per_second: int) -> int:
        """Return how many samples of sound come before a frame."""
        return int(number * samples_per_second / self._rate)
