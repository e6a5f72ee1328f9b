"""The real clock, the real source of randomness, and the collector of the process's memory.

Everything below the server is handed a clock and a randomness: these, or a test's own.
"""

import gc
import secrets
import time

COLLECTOR_THRESHOLDS = (100_000, 50, 100)
"""Python's own, (700, 10, 10), walk what is alive again and again while a storm of joins makes much of it."""


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
    """The operating system's generator, fit for secrets (stagebook.stage.clock.Randomness)."""

    def token_bytes(self, size_bytes: int) -> bytes:
        """Return `size_bytes` random bytes."""
        return secrets.token_bytes(size_bytes)
