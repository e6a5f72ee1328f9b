"""How often a recording may begin another stream: a discontinuity, with an init segment and a short segment.

Each stream costs a recorder an encoder and four or five objects, and publishers decide when one is needed. A token
bucket admits MAX_STREAMS at once, and one every STREAM_INTERVAL_SECONDS after them.
"""

from collections.abc import Callable
from typing import Final

MAX_STREAMS: Final = 6
STREAM_INTERVAL_SECONDS: Final = 10


class StreamRateLimit:
    """The limit of one recording."""

    def __init__(self, *, now_ms: Callable[[], int]) -> None:
        """`now_ms` returns the wall-clock time in milliseconds since the epoch."""
        self._now_ms = now_ms
        self._streams = float(MAX_STREAMS)
        self._renewed_ms = now_ms()

    @property
    def admits(self) -> bool:
        """Whether a stream may begin at this moment."""
        now_ms = self._now_ms()
        passed_seconds = max(now_ms - self._renewed_ms, 0) / 1_000
        self._renewed_ms = now_ms
        self._streams = min(self._streams + passed_seconds / STREAM_INTERVAL_SECONDS, MAX_STREAMS)
        return self._streams >= 1

    def count(self) -> None:
        """A stream has begun."""
        self._streams -= 1
