"""Time and chance, as ports: the heart, the manager and the book are handed them and never take them."""

from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""


class Randomness(Protocol):
    """Where unguessable bytes come from; a seeded source in tests."""

    def token_bytes(self, size_bytes: int) -> bytes:
        """Return `size_bytes` random bytes."""
