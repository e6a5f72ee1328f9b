"""Requests to a worker process that have no reply yet, by request id."""

import asyncio
from collections.abc import Callable
from itertools import count

from stagebook.media.worker.worker_messages import Reply, Request


class PendingRequests:
    """Matches replies to requests. Request ids are unique over all runs of the process."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._pending: dict[int, tuple[Request, asyncio.Future[Reply]]] = {}

    def next_id(self) -> int:
        """Return an unused request id."""
        return next(self._ids)

    def add(self, request: Request) -> asyncio.Future[Reply]:
        """Register a request that was sent. Its reply becomes the result of the future."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending[request.request_id] = (request, future)
        return future

    def discard(self, request: Request) -> None:
        """Remove a request whose caller no longer waits. A later reply is ignored."""
        self._pending.pop(request.request_id, None)

    def resolve(self, reply: Reply) -> None:
        """Deliver a reply to its request's caller. A reply to an unknown request is ignored."""
        _, future = self._pending.pop(reply.request_id, (None, None))
        if future is not None and not future.done():
            future.set_result(reply)

    def fail_all(self, make_error: Callable[[], Exception]) -> list[Request]:
        """Fail every pending request with an exception of its own; return the requests."""
        requests = [request for request, _ in self._pending.values()]
        for _, future in self._pending.values():
            if not future.done():
                future.set_exception(make_error())
        self._pending.clear()
        return requests
