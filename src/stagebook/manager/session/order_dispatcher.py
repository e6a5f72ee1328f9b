"""Carries out the orders that clients can observe: closing connections, sources and events websockets.

Commands to media engines run as tasks, started in the order of the decisions. No caller waits for a result, because
the session has removed the connection before its end is ordered. A command can fail only if the engine process is
lost, and that has closed all of its connections.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stagebook.media.port import MediaEngine
from stagebook.stage.session.orders import CloseConnection, CloseEvents, EndSource, Order


class OrderDispatcher:
    """Sends orders to the media engine and to the events websockets. `close_events` is set by the stage manager."""

    def __init__(self, *, media: MediaEngine) -> None:
        self._media = media
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: Counter[str] = Counter()
        self._delayed: dict[str, EndSource] = {}
        self.close_events: Callable[[CloseEvents], None] = lambda _order: None

    def carry_out(self, orders: Sequence[Order]) -> None:
        """Carry out orders of the types CloseConnection, EndSource and CloseEvents. Others are ignored.

        Sources end last: an engine closes the remaining connections of a source that ends, and viewers see a failure.
        """
        for order in sorted(orders, key=lambda order: isinstance(order, EndSource)):
            match order:
                case CloseConnection():
                    close = self._media.close(
                        connection_id=order.connection_id, detail=order.detail, as_failure=order.as_failure
                    )
                    self.run(close)
                case EndSource():
                    self._end_source(order)
                case CloseEvents():
                    self.close_events(order)
                case _:
                    pass

    @contextmanager
    def holding(self, source_id: str) -> Iterator[None]:
        """Delay the end of a source while a request to publish to it is in progress in the engine.

        The request and `end_source` are separate messages to an engine process. If the session ended the source while
        the request is on its way, the engine could create the source after the command to end it, and never end it.
        Several requests can hold one source; the last one that is done sends the command.
        """
        self._held[source_id] += 1
        try:
            yield
        finally:
            self._held[source_id] -= 1
            if not self._held[source_id]:
                del self._held[source_id]
                order = self._delayed.pop(source_id, None)
                if order is not None:
                    self._end_source(order)

    def _end_source(self, order: EndSource) -> None:
        if order.source_id in self._held:
            self._delayed[order.source_id] = order
        else:
            self.run(self._media.end_source(source_id=order.source_id, detail=order.detail))

    def run(self, command: Coroutine[Any, Any, None]) -> None:
        """Start one command of the media engine as a task. The reference keeps it from being garbage collected."""
        task = asyncio.get_running_loop().create_task(command)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until the media engine has finished all commands, also those that start meanwhile."""
        while self._tasks:
            # Not `gather`: a request whose client disconnects while it waits here would cancel the commands of all.
            await asyncio.wait(self._tasks)
