"""Requests to a worker process that have no reply yet, by request id.

A request is in flight from the moment it is sent until its reply comes or the process is gone. A caller that gives up
earlier (a timeout, a client that disconnected) abandons it, but does not take it out of flight: the process will carry
it out all the same. If abandoned requests were not counted, a client could send and cancel requests without a limit.

Two limits hold. One for all requests bounds how long a request can wait behind others, and one for each connection
keeps the fragments of a single connection from filling the first.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Final

from stagebook.media.port import MediaRefusedError
from stagebook.media.worker.worker_messages import Reply, Request

MAX_IN_FLIGHT: Final = 128
"""Requests in flight to one process. One takes an engine 1 to 2 ms, so the last one waits for about 0.2 s."""
MAX_IN_FLIGHT_PER_CONNECTION: Final = 16
"""Requests in flight for one connection. A browser that trickles candidates may send a dozen PATCHes at once."""


class NoReplyError(MediaRefusedError):
    """The worker did not reply to a request in time. It may still carry out the request."""


class PendingRequests:
    """Matches replies to requests. Request ids are unique over all runs of the process."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._pending: dict[int, tuple[Request, asyncio.Future[Reply]]] = {}
        self._abandoned: dict[int, str] = {}
        """The connection ids of the requests in flight that nobody waits for."""
        self._of_connection: dict[str, int] = {}
        """The number of requests in flight by connection id."""

    def next_id(self) -> int:
        """Return an unused request id."""
        return next(self._ids)

    def is_full(self, request: Request) -> bool:
        """Return whether a limit forbids one more request like this one."""
        return (
            len(self._pending) + len(self._abandoned) >= MAX_IN_FLIGHT
            or self._of_connection.get(request.connection_id, 0) >= MAX_IN_FLIGHT_PER_CONNECTION
        )

    def add(self, request: Request) -> asyncio.Future[Reply]:
        """Register a request that was sent. Its reply becomes the result of the future."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        # Reading the exception keeps asyncio from logging one that `fail_all` set for a caller that was cancelled.
        future.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        self._pending[request.request_id] = (request, future)
        self._of_connection[request.connection_id] = self._of_connection.get(request.connection_id, 0) + 1
        return future

    def abandon(self, request: Request) -> None:
        """The caller no longer waits. The request stays in flight, and its reply is ignored. No effect after the
        reply."""
        if self._pending.pop(request.request_id, None) is not None:
            self._abandoned[request.request_id] = request.connection_id

    def resolve(self, reply: Reply) -> None:
        """Deliver a reply to its request's caller. A reply to an unknown or abandoned request is ignored."""
        request, future = self._pending.pop(reply.request_id, (None, None))
        connection_id = self._abandoned.pop(reply.request_id, None) if request is None else request.connection_id
        if connection_id is not None:
            self._count_reply(connection_id)
        if future is not None and not future.done():
            future.set_result(reply)

    def fail_all(self, make_error: Callable[[], Exception]) -> list[Request]:
        """The process is gone: fail every pending request with an exception of its own, and return the requests whose
        callers still waited. Nothing is in flight after this."""
        requests = [request for request, _ in self._pending.values()]
        for _, future in self._pending.values():
            if not future.done():
                future.set_exception(make_error())
        self._pending.clear()
        self._abandoned.clear()
        self._of_connection.clear()
        return requests

    def _count_reply(self, connection_id: str) -> None:
        left = self._of_connection.pop(connection_id) - 1
        if left:
            self._of_connection[connection_id] = left
