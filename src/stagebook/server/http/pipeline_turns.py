"""The rate of pipelined requests: all connections of a server together serve a bounded number of them per second.

A client that pipelines sends a request before it has the response to the one before (RFC 9112 section 9.3.2). It needs
no round trip for a request, so a few connections that pipeline `GET /health` could keep the event loop busy all the
time. Browsers, SDKs and reverse proxies do not pipeline. Their requests never wait here.

    response sent  ->  is a further request there?  ->  a unit of the bucket is left: it is served at once
                                                    ->  otherwise the connection waits in a queue

A timer serves the first connections of the queue when units are there again. Each turn of a connection is one request,
so the connections share the rate equally.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from stagebook.api.access.token_bucket import TokenBucket

PIPELINED_BURST = 2_000
PIPELINED_PER_SECOND = 250.0
"""A request for `/health` takes 70 us of CPU time, so this is at most 2 % of a core."""
TURNS_PER_TICK = 4
"""Requests that one call of the timer serves, also after the event loop was busy for long."""


class WaitingConnection(Protocol):
    """A connection with a request that waits."""

    def serve_waiting(self) -> None:
        """Serve the request that has waited the longest, if there is one."""


class PipelineTurns:
    """Gives the connections their turns."""

    def __init__(self, *, burst: int = PIPELINED_BURST, per_second: float, monotonic: Callable[[], float]) -> None:
        """`burst` requests may be served at once, and `per_second` in the long run."""
        self._bucket = TokenBucket(burst=burst, per_second=per_second, monotonic=monotonic)
        self._interval_seconds = 1 / per_second
        # In the order in which they came. A dictionary, because a connection that ends is removed.
        self._waiting: dict[WaitingConnection, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """The number of connections that wait."""
        return len(self._waiting)

    def take(self, connection: WaitingConnection) -> bool:
        """Return whether a connection may serve its next request at once. Otherwise it gets its turn later."""
        if not self._waiting and self._bucket.take():
            return True
        self._waiting[connection] = None
        self._schedule()
        return False

    def withdraw(self, connection: WaitingConnection) -> None:
        """Forget a connection that has ended."""
        self._waiting.pop(connection, None)

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval_seconds, self._serve_due)

    def _serve_due(self) -> None:
        self._timer = None
        for _ in range(TURNS_PER_TICK):
            if not self._waiting or not self._bucket.take():
                break
            connection = next(iter(self._waiting))
            del self._waiting[connection]
            connection.serve_waiting()
        if self._waiting:
            self._schedule()
