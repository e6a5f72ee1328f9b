"""The real clock and the real source of randomness. Everything below the server is handed these, or a test's own."""

import secrets
import time


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
