"""An event and a queue for coroutines, as small as possible: an open websocket has several, and there are thousands.

`asyncio.Event` and `asyncio.Queue` hold deques, which take 0.7 KB each while they are empty.
"""

import asyncio
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LightEvent:
    """What `asyncio.Event` is, for few waiting coroutines."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self, *, is_set: bool = False) -> None:
        self._is_set = is_set
        self._waiting: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        """Return whether `wait` returns at once."""
        return self._is_set

    def set(self) -> None:
        """Let all waiting coroutines go on."""
        self._is_set = True
        for waiting in self._waiting or ():
            if not waiting.done():
                waiting.set_result(None)

    def clear(self) -> None:
        """Let further coroutines wait."""
        self._is_set = False

    async def wait(self) -> None:
        """Wait until the event is set."""
        if self._is_set:
            return
        waiting = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(waiting)
        try:
            await waiting
        finally:
            self._waiting.remove(waiting)


class LightQueue(Generic[Item]):
    """What `asyncio.Queue` is, for few items and one coroutine that takes them."""

    __slots__ = ("_arrived", "_items")

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._arrived = LightEvent()

    def empty(self) -> bool:
        """Return whether no item waits."""
        return not self._items

    def put_nowait(self, item: Item) -> None:
        """Add an item."""
        self._items.append(item)
        self._arrived.set()

    @property
    def newest(self) -> Item:
        """The item that was added last. It must not have been taken."""
        return self._items[-1]

    async def get(self) -> Item:
        """Wait for the next item and take it."""
        while not self._items:
            self._arrived.clear()
            await self._arrived.wait()
        return self._items.pop(0)
