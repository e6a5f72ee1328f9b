"""Measures a bitrate over a short window: of what arrives, on the peer's own clock, or of what was sent."""

from collections import deque
from typing import Final

ARRIVAL_WINDOW_SECONDS: Final = 0.3
"""Ten frames, and short enough to follow a path that suddenly carries less."""
MAX_ARRIVALS: Final = 1024
"""Entries that are kept. A peer whose clock stands still would otherwise fill the memory."""
_LEAST_SECONDS = 0.1


class DeliveryRate:
    """The bytes of the last seconds."""

    def __init__(self, window_seconds: float = ARRIVAL_WINDOW_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._arrivals: deque[tuple[float, int]] = deque()
        self._size_bytes = 0

    def add(self, arrived_at: float, size_bytes: int) -> None:
        """So many bytes have arrived, or were sent, until this time in seconds."""
        arrivals = self._arrivals
        if arrivals and arrived_at < arrivals[-1][0] - self._window_seconds:
            # No packet is so late: the peer's clock has jumped.
            arrivals.clear()
            self._size_bytes = 0
        elif arrivals:
            # A late packet counts with those that it arrived behind.
            arrived_at = max(arrived_at, arrivals[-1][0])
        arrivals.append((arrived_at, size_bytes))
        self._size_bytes += size_bytes
        while len(arrivals) > MAX_ARRIVALS or arrivals[0][0] <= arrived_at - self._window_seconds:
            self._size_bytes -= arrivals.popleft()[1]

    def bitrate_bps(self) -> float | None:
        """Bits per second of the window; None while it holds too little to say."""
        if len(self._arrivals) < 4:
            return None
        seconds = self._arrivals[-1][0] - self._arrivals[0][0]
        if seconds < _LEAST_SECONDS:
            return None
        # The bytes of the first entry arrived before the time that is measured.
        return (self._size_bytes - self._arrivals[0][1]) * 8 / seconds
