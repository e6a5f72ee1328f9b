"""Carries out the orders that others can see: connections and sources to close, websockets to close with a farewell.

Commands to media engines are sent as tasks, in order. They cannot fail in a way that matters here: an engine that is
lost has closed everything by itself.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stagebook.media.port import MediaEngine
from stagebook.stage.session.orders import CloseConnection, CloseEvents, EndSource, Order


class OrderDispatcher:
    """Sends orders to the media engine and to the watchers of stages."""

    def __init__(self, *, media: MediaEngine) -> None:
        self._media = media
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: Counter[str] = Counter()
        self._delayed: dict[str, EndSource] = {}
        self.close_events: Callable[[CloseEvents], None] = lambda _order: None

    def carry_out(self, orders: Sequence[Order]) -> None:
        """Carry out orders. Orders that only concern memory are not passed here."""
        for order in orders:
            match order:
                case CloseConnection():
                    self.run(self._media.close(connection_id=order.connection_id, detail=order.detail))
                case EndSource():
                    self._end_source(order)
                case CloseEvents():
                    self.close_events(order)
                case _:
                    pass

    @contextmanager
    def holding(self, source_id: str) -> Iterator[None]:
        """Delay the end of a source while an engine is asked to let a publisher in.

        The engine can create the source after it was told to end it: the offer may still be on its way.
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
        """Send one command to the media engine."""
        task = asyncio.get_running_loop().create_task(command)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until the media engine has taken all commands."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
