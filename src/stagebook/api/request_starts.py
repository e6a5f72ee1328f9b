"""How many requests begin in one turn of the event loop.

Requests that arrive together are all ready in the same turn. Thirty joins, each with a signature to verify, would be
one turn of 30 ms, in which no other request, timer or websocket has its step. So at most STARTS_PER_TURN requests and
websockets begin in a turn. The others wait for the next turns, in which the networks of the clients alternate:

    network A:  7 requests wait   ->  one of A, one of B, two of A   ->  the next turn
    network B:  1 request waits

A client with many connections therefore delays a client of another network by one request, and not by all of its own.
What waits is bounded by the number of connections, which have one request in progress each.
"""

import asyncio
from collections import OrderedDict, deque

from stagebook.client_network import network_of

STARTS_PER_TURN = 4
"""A request takes up to 1 ms of CPU time before it awaits something: that of a page 0.4 ms, a join 0.7 ms."""


class RequestStarts:
    """Lets the requests of one server begin."""

    def __init__(self, *, per_turn: int = STARTS_PER_TURN) -> None:
        self._per_turn = per_turn
        self._left = per_turn
        self._is_scheduled = False
        # The networks in the order of their next turns.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def begins_now(self) -> bool:
        """Return whether a request may begin at once. Otherwise it has to `wait`."""
        if self._waiting or not self._left:
            return False
        self._left -= 1
        self._schedule()
        return True

    async def wait(self, address: str) -> None:
        """Wait for the turn of a client with this IP address."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(network_of(address), deque()).append(future)
        self._schedule()
        await future

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._is_scheduled = False
        self._left = self._per_turn
        while self._waiting and self._left:
            network, queue = self._waiting.popitem(last=False)
            future = queue.popleft()
            if queue:
                self._waiting[network] = queue
            if not future.done():  # a request that was cancelled does not begin
                future.set_result(None)
                self._left -= 1
        if self._left < self._per_turn:
            self._schedule()
