"""How a scenario passes the time between its steps: it waits, faster if wanted, or moves the clock of the server."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from stagebook.scenarios.played_server import PlayedServer


class Pace(Protocol):
    """The time of a scenario."""

    async def reach(self, at_ms: int, *, settled: Callable[[], Awaitable[None]]) -> None:
        """Return when the time since the start is `at_ms`. `settled` waits for the steps that have begun."""


class WaitingPace:
    """Waits: `speed` seconds of the scenario pass in each second."""

    def __init__(self, *, speed: float = 1.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._monotonic = monotonic
        self._start_seconds = monotonic()

    async def reach(self, at_ms: int, *, settled: Callable[[], Awaitable[None]]) -> None:  # noqa: ARG002 - as in Pace
        """As Pace.reach. A step that takes long does not delay the later ones."""
        due_seconds = self._start_seconds + at_ms / 1_000 / self._speed
        await asyncio.sleep(max(0.0, due_seconds - self._monotonic()))


class ClockPace:
    """Moves the clock of a server that has the testing API. Nothing waits."""

    def __init__(self, server: PlayedServer) -> None:
        self._server = server
        self._start_ms: int | None = None
        self._reached_ms = 0

    async def reach(self, at_ms: int, *, settled: Callable[[], Awaitable[None]]) -> None:
        """As Pace.reach. What was begun is completed before the clock moves."""
        if self._start_ms is None:
            self._start_ms = await self._server.clock_ms()
        if at_ms > self._reached_ms:
            await settled()
            self._reached_ms = at_ms
            # The clock of the server has gone on meanwhile.
            missing_ms = self._start_ms + at_ms - await self._server.clock_ms()
            if missing_ms > 0:
                await self._server.control("/clock/advance", {"seconds": missing_ms / 1_000})
