"""The statistics of the benchmark: median, percentile and linear regression."""

from collections.abc import Sequence

import msgspec


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two in the middle. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` percent of the values do not exceed (nearest rank).

    Raises ValueError for no values or a percentage outside 0 to 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError("values and a percentage are needed")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank) - 1, 0)]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A straight line, y = base + slope * x."""

    base: float
    slope: float

    def x_at(self, y: float) -> float:
        """Return the x at which the line has the value `y`. Raises ZeroDivisionError for a slope of 0."""
        return (y - self.base) / self.slope


def fit_line(points: Sequence[tuple[float, float]]) -> Line:
    """Return the least-squares line through (x, y) points. Raises ValueError unless two points differ in x."""
    if len({x for x, _ in points}) < 2:
        raise ValueError("a line needs two different x")
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return Line(base=mean_y - slope * mean_x, slope=slope)
