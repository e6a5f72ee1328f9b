"""Measures the share of lost packets, and what of it is the path's own: loss that stays when less is sent."""

from collections import deque
from typing import Final

INTERVAL_SECONDS: Final = 0.5
MIN_PACKETS: Final = 10
_KEPT_INTERVALS = 12
"""Six seconds. A path that loses packets at random does so in each interval; a full queue does until less is sent."""
HEAVY: Final = 0.35
"""A line that loses a tenth of its packets in runs of five loses a quarter of them in some intervals."""
MAX_USUAL: Final = 0.07
"""What is lost beyond it is never taken as the path's own: a queue that is full for long must not become usual."""


class LossWindow:
    """The loss of the last interval, and the least of the last intervals."""

    def __init__(self) -> None:
        self.fraction = 0.0
        """Of the last whole interval, 0 to 1."""
        self._received = self._lost = 0
        self._ends_at: float | None = None
        self._fractions: deque[float] = deque(maxlen=_KEPT_INTERVALS)
        self._newest: deque[float] = deque(maxlen=3)

    def add(self, received: int, lost: int, now: float) -> bool:
        """Count packets. True if an interval has ended, so that `fraction` is new."""
        self._received += received
        self._lost += lost
        if self._ends_at is None:
            self._ends_at = now + INTERVAL_SECONDS
        total = self._received + self._lost
        if now < self._ends_at or total < MIN_PACKETS:
            return False
        self.fraction = self._lost / total
        self._fractions.append(self.fraction)
        self._newest.append(self.fraction)
        self._received = self._lost = 0
        self._ends_at = now + INTERVAL_SECONDS
        return True

    @property
    def clear(self) -> float:
        """The loss that is no chance: that of the last interval if it is heavy, or else the mean of the last three."""
        newest = self._newest
        return self.fraction if self.fraction > HEAVY or not newest else sum(newest) / len(newest)

    def restart(self) -> None:
        """Leave what has been lost so far out of `clear`: less is sent since then."""
        self._newest.clear()
        self._received = self._lost = 0
        self._ends_at = None

    @property
    def usual(self) -> float:
        """The loss that most of the last intervals exceed, up to MAX_USUAL; 0.0 while there are few of them."""
        if len(self._fractions) < _KEPT_INTERVALS:
            return 0.0
        return min(MAX_USUAL, sorted(self._fractions)[_KEPT_INTERVALS // 4])
