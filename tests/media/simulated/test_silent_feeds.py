"""Silent feeds on a real engine process: what real viewers subscribe to."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from stagebook.media.port import CloseCause, Closed, MediaFact, MediaRefusedError
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.simulated.silent_feeds import SilentFeeds
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from tests.media.ingest.running_rtmp_server import until
from tests.media.rtc import offers


class FedPool(EnginePool):
    """A pool with silent feeds, and the facts that concern others."""

    def __init__(self) -> None:
        super().__init__(EngineSettings(), processes=1, timeouts=WorkerTimeouts(restart_delay_seconds=0.01))
        self.silent = SilentFeeds(self)
        self.facts: list[MediaFact] = []
        self.taken = 0
        self.listen(self._note)

    def _note(self, fact: MediaFact) -> None:
        if self.silent.take(fact):
            self.taken += 1
        else:
            self.facts.append(fact)

    async def watch(self, connection_id: str) -> None:
        await self.subscribe(connection_id=connection_id, source_id="s", offer=offers.CHROMIUM_VIEWER)


@pytest.fixture
async def pool() -> AsyncIterator[FedPool]:
    pool = FedPool()
    await pool.start()
    yield pool
    pool.silent.close("s")
    await pool.stop()


async def test_viewers_subscribe_to_one_feed(pool: FedPool) -> None:
    await asyncio.gather(pool.silent.open("s"), pool.silent.open("s"))
    await asyncio.gather(pool.watch("one"), pool.watch("other"))
    assert (pool.taken, pool.facts) == (1, [])


async def test_a_feed_that_is_closed_is_opened_again(pool: FedPool) -> None:
    await pool.silent.open("s")
    pool.silent.close("s")
    await asyncio.sleep(0)  # a callback ends the source
    with pytest.raises(MediaRefusedError):
        await pool.watch("one")
    await pool.silent.open("s")
    await pool.watch("one")


async def test_a_feed_that_is_closed_while_it_opens_leaves_no_source(pool: FedPool) -> None:
    opening = asyncio.create_task(pool.silent.open("s"))
    await asyncio.sleep(0)
    pool.silent.close("s")
    await asyncio.gather(opening, return_exceptions=True)
    await asyncio.sleep(0)
    with pytest.raises(MediaRefusedError):
        await pool.watch("one")


async def test_a_feed_whose_engine_is_lost_is_opened_again(pool: FedPool) -> None:
    await pool.silent.open("s")
    await pool.watch("one")
    (engine,) = pool.engines
    process_id = engine.process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    lost = Closed(connection_id="one", cause=CloseCause.ENGINE_LOST)
    await until(lambda: lost in pool.facts and engine.is_running, "the loss, and a new process")
    await pool.silent.open("s")
    await pool.watch("other")
    assert pool.facts == [lost]
