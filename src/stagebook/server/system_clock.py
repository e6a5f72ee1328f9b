"""The real clock, the real source of randomness, and the collector of the process's memory.

Everything below the server is handed a clock and a randomness: these, or a test's own.
"""

import gc
import secrets
import time

COLLECTOR_THRESHOLDS = (100_000, 50, 100)
"""Python's own, (700, 10, 10), walk what is alive again and again while a storm of joins makes much of it."""

DRAW_SIZE_BYTES = 4_096


def tune_collector() -> None:
    """Let the garbage collector leave alone what the start has made, and look for cycles less often from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


class SystemClock:
    """The machine's clock (stagebook.stage.clock.Clock)."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000


class SystemRandomness:
    """The operating system's generator, fit for secrets (stagebook.stage.clock.Randomness).

    Drawn in pieces of DRAW_SIZE_BYTES: each draw lets other threads in, which costs more than the bytes.
    """

    def __init__(self) -> None:
        self._drawn = b""
        self._used = 0

    def token_bytes(self, size_bytes: int) -> bytes:
        """Return `size_bytes` random bytes."""
        start, end = self._used, self._used + size_bytes
        if end > len(self._drawn):
            self._drawn, start, end = secrets.token_bytes(max(DRAW_SIZE_BYTES, size_bytes)), 0, size_bytes
        self._used = end
        return self._drawn[start:end]
