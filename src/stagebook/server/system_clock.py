"""The clock and the randomness of the operating system: the implementations of the ports of `stage/clock.py`.

The server passes them to every part that needs them. Tests pass their own.
"""

import secrets
import time

BUFFER_SIZE_BYTES = 4_096


class SystemClock:
    """Implements `Clock` with the clocks of the operating system."""

    def now_ms(self) -> int:
        """Return the wall clock: milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return the monotonic clock: milliseconds since an arbitrary moment."""
        return time.monotonic_ns() // 1_000_000


class SystemRandomness:
    """Implements `Randomness` with the generator of the operating system, which is suitable for secrets.

    It reads BUFFER_SIZE_BYTES at a time. Every read releases the interpreter's lock, which costs more than the bytes.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._used = 0

    def token_bytes(self, size_bytes: int) -> bytes:
        """Return `size_bytes` random bytes. No byte is returned twice."""
        start, end = self._used, self._used + size_bytes
        if end > len(self._buffer):
            self._buffer, start, end = secrets.token_bytes(max(BUFFER_SIZE_BYTES, size_bytes)), 0, size_bytes
        self._used = end
        return self._buffer[start:end]
