"""A token bucket: the limit of a rate that allows bursts."""

from collections.abc import Callable


class TokenBucket:
    """A token bucket: `burst` units at once, refilled at `per_second` units per second.

    `monotonic` returns seconds of a clock that never goes back.
    """

    __slots__ = ("_burst", "_monotonic", "_per_second", "_refilled_at_seconds", "_units")

    def __init__(self, *, burst: int, per_second: float, monotonic: Callable[[], float]) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._monotonic = monotonic
        self._units = self._burst
        self._refilled_at_seconds = monotonic()

    def take(self) -> bool:
        """Take one unit and return True; return False when none is left."""
        if not self.has_unit():
            return False
        self._units -= 1.0
        return True

    def has_unit(self) -> bool:
        """Return whether a unit is left."""
        # Refilled on demand: no timer runs for the bucket.
        now_seconds = self._monotonic()
        elapsed_seconds = now_seconds - self._refilled_at_seconds
        self._units = min(self._burst, self._units + elapsed_seconds * self._per_second)
        self._refilled_at_seconds = now_seconds
        return self._units >= 1.0
