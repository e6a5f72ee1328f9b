"""A histogram of durations, in the form that Prometheus reads: counts by upper bound, and the sum.

Observing is a binary search and two additions of plain numbers. It takes no lock: a histogram belongs to one thread,
and a reader on another one may see a count without its sum.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class LatencyHistogram:
    """Durations in seconds by `bounds_seconds`, the upper bounds of the buckets in ascending order."""

    __slots__ = ("_counts", "bounds_seconds", "sum_seconds")

    def __init__(self, bounds_seconds: Sequence[float]) -> None:
        self.bounds_seconds = tuple(map(float, bounds_seconds))
        self.sum_seconds = 0.0
        self._counts = [0] * (len(self.bounds_seconds) + 1)

    @property
    def count(self) -> int:
        """How many durations were observed."""
        return sum(self._counts)

    def observe(self, seconds: float, count: int = 1) -> None:
        """Add `count` equal durations. One that equals a bound belongs to its bucket."""
        self._counts[bisect_left(self.bounds_seconds, seconds)] += count
        self.sum_seconds += seconds * count

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Yield the bounds as Prometheus spells them, `+Inf` last, each with the number of durations up to it."""
        total = 0
        for bound, count in zip((*map(str, self.bounds_seconds), "+Inf"), self._counts, strict=True):
            total += count
            yield bound, total
