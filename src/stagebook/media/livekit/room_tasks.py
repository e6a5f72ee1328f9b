"""What is ended in LiveKit in the background: participants, rooms, websockets.

The caller of the engine does not wait for it: a node that is lost answers after seconds, and the connection has ended
in the books already. The end of a source with 10,000 viewers is as many calls, of which MAX_ENDS_AT_ONCE are made at a
time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from stagebook.media.livekit.room_service import RoomService, RoomServiceError

MAX_ENDS_AT_ONCE: Final = 32
_DELAYS_SECONDS: Final = (0.0, 0.5, 2.0, 5.0)
"""Before each attempt."""
_STOP_TIMEOUT_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class RoomTasks:
    """The work of one engine that nobody waits for."""

    def __init__(self, service: RoomService) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = asyncio.Semaphore(MAX_ENDS_AT_ONCE)
        self._is_failing = False

    def remove_participant(self, room: str, identity: str) -> None:
        """End a participant's connection. An unknown one is none."""
        self.spawn(self._call(lambda: self._service.remove_participant(room, identity)))

    def delete_room(self, room: str) -> None:
        """End a room with all its connections. An unknown one is none."""
        self.spawn(self._call(lambda: self._service.delete_room(room)))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait up to 5 s for everything, and drop the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT_SECONDS)
        for task in self._tasks:
            task.cancel()

    async def _call(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make a call of the room service. It is repeated a few times while LiveKit fails."""
        for delay_seconds in _DELAYS_SECONDS:
            await asyncio.sleep(delay_seconds)
            try:
                async with self._calls:
                    await call()
            except RoomServiceError as error:
                failure = error
            else:
                self._is_failing = False
                return
        # Once for all that fail together, which can be thousands.
        if not self._is_failing:
            _log.warning("LiveKit could not be told to end connections or rooms", error=str(failure))
        self._is_failing = True
