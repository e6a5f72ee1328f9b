"""How many requests an API has answered, by operation and status, and how long they took.

An API names the operation of a request in its scope, once it knows it: `scope[OPERATION] = "GetStage"`. Names come from
the program, never from the request, so their number is bounded.
"""

from collections.abc import Iterator
from typing import Final

from stagebook.latency_histogram import LatencyHistogram

OPERATION: Final = "stagebook.operation"
"""The key of a scope under which an API notes the name of the operation."""
UNKNOWN_OPERATION: Final = "Unknown"
"""A request that names no operation, or is refused before its operation is known."""
PREFLIGHT: Final = "Preflight"
"""A CORS preflight, or another OPTIONS request."""
REQUEST_BOUNDS_SECONDS: Final = (0.005, 0.025, 0.1, 0.5, 2.5)
"""Few, because each operation has its own histogram."""


class OperationCounts:
    """The requests of one operation: their number by status, and their durations."""

    __slots__ = ("by_status", "latency")

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.latency = LatencyHistogram(REQUEST_BOUNDS_SECONDS)

    def count(self, status: int) -> None:
        """Count a request without a duration."""
        self.by_status[status] = self.by_status.get(status, 0) + 1


class RequestCounts:
    """The requests of one API. All calls are made on the event loop's thread."""

    __slots__ = ("_operations", "api")

    def __init__(self, api: str) -> None:
        self.api = api
        self._operations: dict[str, OperationCounts] = {}

    def count(self, operation: str, status: int) -> None:
        """Count what is no request with an end of its own: a websocket, or a response that is a stream."""
        self._of(operation).count(status)

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count a request whose response was complete after `seconds`."""
        counts = self._of(operation)
        counts.count(status)
        counts.latency.observe(seconds)

    def __iter__(self) -> Iterator[tuple[str, OperationCounts]]:
        """Yield the operations that were requested, by name."""
        yield from sorted(self._operations.items())

    def _of(self, operation: str) -> OperationCounts:
        counts = self._operations.get(operation)
        if counts is None:
            counts = self._operations[operation] = OperationCounts()
        return counts
