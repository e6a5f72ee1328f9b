"""An engine pool with real engine processes, for tests."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stagebook.media.port import (
    MediaFact,
)
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine.source_placement import RELAY_MARGIN
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.media.rtc import offers
from tests.media.rtc.feed_client import closing_feeds

DEADLINE_SECONDS = 30
FAST_RESTART = WorkerTimeouts(restart_delay_seconds=0.01)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the change happens in another process
            await asyncio.sleep(0.01)


class Scenario:
    """A pool and its reported facts."""

    def __init__(self, pool: EnginePool) -> None:
        self.pool = pool
        self.facts: list[MediaFact] = []
        pool.listen(self.facts.append)

    def process_id(self, number: int = 0) -> int:
        found = self.pool.engines[number].process_id
        assert found is not None
        return found

    def kill(self, number: int = 0, with_signal: int = signal.SIGKILL) -> None:
        os.kill(self.process_id(number), with_signal)

    async def publish(self, name: str) -> int:
        """Publish a source. Returns the UDP port of its engine."""
        answer = await self.pool.publish(connection_id=f"{name}-publisher", source_id=name, offer=offers.CHROMIUM)
        return port_of(answer.sdp)

    async def subscribe(self, name: str, viewer: str) -> int:
        answer = await self.pool.subscribe(connection_id=viewer, source_id=name, offer=offers.CHROMIUM_VIEWER)
        return port_of(answer.sdp)

    async def wait_for_restart(self, number: int = 0) -> None:
        """Wait until a new process of the engine is running."""
        engine, previous = self.pool.engines[number], self.process_id(number)
        await until(lambda: engine.is_running and engine.process_id != previous)


def port_of(answer: str) -> int:
    """The port of an answer's first candidate."""
    return int(next(line for line in answer.split("\r\n") if line.startswith("a=candidate")).split()[5])


@asynccontextmanager
async def running_pool(
    *,
    processes: int = 1,
    settings: EngineSettings | None = None,
    timeouts: WorkerTimeouts = FAST_RESTART,
    user: ProcessUser | None = None,
    relay_margin: int = RELAY_MARGIN,
) -> AsyncIterator[Scenario]:
    pool = EnginePool(
        settings or EngineSettings(), processes=processes, timeouts=timeouts, user=user, relay_margin=relay_margin
    )
    await pool.start()
    try:
        async with closing_feeds():
            yield Scenario(pool)
    finally:
        await pool.stop()
