"""The servers that are measured: Stagebook's engine, and those of others that do the same work beside it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.forwarder.running_peers import PeersProcess
from bench.machine import cpu_seconds
from stagebook.media.port import MediaFact, SourceMeasured
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings


class ForwardingServer(ABC):
    """A running server to which publishers and viewers can be added."""

    name: str
    process_id: int
    measured: SourceMeasured | None = None
    """The newest measurement of a source, where the server reports them."""

    @abstractmethod
    async def add_publisher(self, peers: PeersProcess, source: str) -> None:
        """Connect a publisher of a new source. It sends from then on."""

    @abstractmethod
    async def add_viewer(self, peers: PeersProcess, source: str, *, is_timed: bool = False) -> None:
        """Connect a viewer to a source."""

    def cpu_seconds(self) -> float:
        """The CPU time of the server so far."""
        return cpu_seconds(self.process_id)


class StagebookEngine(ForwardingServer):
    """An engine process as the server runs it."""

    name = "Stagebook"

    def __init__(self, pool: EnginePool) -> None:
        """`pool` has started its one process."""
        process_id = pool.engines[0].process_id
        assert process_id is not None
        self.process_id = process_id
        self.pool = pool
        self.pool.listen(self._on_fact)
        self._connections = 0

    def _on_fact(self, fact: MediaFact) -> None:
        if isinstance(fact, SourceMeasured):
            self.measured = fact

    async def add_publisher(self, peers: PeersProcess, source: str, *, sound: tuple[bytes, ...] = ()) -> None:
        """Connect a publisher of a new source. `sound` is that of `Publisher`."""
        offer = await peers.make_offer(publishes=True, sound=sound)
        answer = await self.pool.publish(connection_id=f"publisher of {source}", source_id=source, offer=offer)
        await peers.connect(answer.sdp)

    async def add_viewer(self, peers: PeersProcess, source: str, *, is_timed: bool = False) -> None:
        """Connect a viewer to a source."""
        offer = await peers.make_offer(publishes=False, is_timed=is_timed)
        self._connections += 1
        connection_id = f"viewer {self._connections}"
        answer = await self.pool.subscribe(connection_id=connection_id, source_id=source, offer=offer)
        await peers.connect(answer.sdp)


@asynccontextmanager
async def stagebook_engine() -> AsyncIterator[StagebookEngine]:
    """Run an engine process."""
    pool = EnginePool(EngineSettings(), processes=1)
    await pool.start()
    try:
        yield StagebookEngine(pool)
    finally:
        await pool.stop()
