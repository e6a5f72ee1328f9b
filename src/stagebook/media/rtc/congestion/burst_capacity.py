"""Measures what a path carries by a large batch: it was sent at one time and arrives at the pace of the bottleneck.

A keyframe of 40 packets takes half a second on a slow path. Its first packets tell so after a fraction of that time,
before the delay of any later packet can.
"""

from typing import Final

MIN_SECONDS: Final = 0.1
"""Batches that arrive faster say nothing: the jitter is as large, and the path is not slow."""
MIN_PACKET_BYTES: Final = 8_000


class BurstCapacity:
    """The arrival of one batch, which may be reported in parts."""

    def __init__(self) -> None:
        self._start = -1
        self._first_at = self._last_at = 0.0
        self._size_bytes = 0

    def add(self, start: int, first_at: float, last_at: float, size_bytes: int) -> None:
        """Packets of the batch with this first number have arrived, from `first_at` to `last_at` in seconds."""
        if start != self._start:
            self._start, self._first_at, self._size_bytes = start, first_at, 0
        self._last_at = last_at
        self._size_bytes += size_bytes

    def bitrate_bps(self) -> float | None:
        """What the path carries; None if the last batch was too small or arrived too fast to say."""
        seconds = self._last_at - self._first_at
        if seconds < MIN_SECONDS or self._size_bytes < MIN_PACKET_BYTES:
            return None
        return self._size_bytes * 8 / seconds
