"""A token bucket: the limit of a rate that allows bursts. And buckets by key, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable, Hashable


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


class TokenBuckets:
    """A bucket for each key, made when it is first needed.

    At most `maximum` buckets are kept; the least recently used one is dropped.
    """

    def __init__(self, *, burst: int, per_second: float, monotonic: Callable[[], float], maximum: int) -> None:
        self._burst = burst
        self._per_second = per_second
        self._monotonic = monotonic
        self._maximum = maximum
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable) -> bool:
        """Take one unit from the bucket of a key and return True; return False when none is left."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(
                burst=self._burst, per_second=self._per_second, monotonic=self._monotonic
            )
            if len(self._buckets) > self._maximum:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take()

    def has_unit(self, key: Hashable) -> bool:
        """Return whether a unit is left for a key. It makes no bucket and does not count as a use."""
        bucket = self._buckets.get(key)
        return bucket is None or bucket.has_unit()
