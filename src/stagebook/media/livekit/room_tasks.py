"""Removes participants, deletes rooms and closes websockets in the background.

The caller of the engine does not wait: a call to a failed node takes seconds, and the engine has ended the connection
already. The end of a source with 10,000 viewers takes 10,000 calls; MAX_ENDS_AT_ONCE are made at a time.
A call that fails is repeated for longer than the longest outage of LiveKit's Redis that sources survive
(`livekit_polls.OUTAGE_SECONDS`): what has ended during the outage must not continue in LiveKit.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import structlog

from stagebook.media.livekit.room_service import RoomService, RoomServiceError

MAX_ENDS_AT_ONCE: Final = 32
MAX_REPEATED_TASKS: Final = 10_000
"""With more tasks than these, failed calls are not repeated."""
_DELAYS_SECONDS: Final = (0.0, 0.5, 2.0, *(5.0,) * 60)
"""The delay before each attempt. Their sum is longer than `livekit_polls.OUTAGE_SECONDS`."""
_STOP_TIMEOUT_SECONDS: Final = 5.0

_Step: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_log = structlog.get_logger(__name__)


class RoomTasks:
    """The background tasks of one engine."""

    def __init__(self, service: RoomService) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = asyncio.Semaphore(MAX_ENDS_AT_ONCE)
        self._is_failing = False

    def remove_participant(self, room: str, identity: str, *, after: _Step | None = None) -> None:
        """Remove a participant, after another step if one is given. Does nothing if it is unknown."""
        self.spawn(self._call(lambda: self._service.remove_participant(room, identity), after=after))

    def delete_room(self, room: str, *, after: _Step | None = None, unless: Callable[[], bool] = lambda: False) -> None:
        """Delete a room with all its connections, after another step if one is given.

        `unless` is asked before each attempt: when it returns true, the room is kept. Does nothing if it is unknown.
        """

        async def delete() -> None:
            if not unless():
                await self._service.delete_room(room)

        self.spawn(self._call(delete, after=after))

    def repeat(self, call: _Step) -> None:
        """Make a call of the room service in the background, and repeat it while it fails."""
        self.spawn(self._call(call, after=None))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait up to 5 s for all tasks, and cancel the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT_SECONDS)
        for task in self._tasks:
            task.cancel()

    async def _call(self, call: _Step, *, after: _Step | None) -> None:
        """Make a call of the room service. It is repeated while LiveKit fails."""
        if after is not None:
            await after()
        for delay_seconds in _DELAYS_SECONDS:
            await asyncio.sleep(delay_seconds)
            try:
                async with self._calls:
                    await call()
            except RoomServiceError as error:
                failure = error
                if len(self._tasks) > MAX_REPEATED_TASKS:
                    break
            else:
                self._is_failing = False
                return
        # One line for all calls that fail at the same time, which can be thousands.
        if not self._is_failing:
            _log.warning("connections or rooms could not be ended in LiveKit", error=str(failure))
        self._is_failing = True
