"""An engine process and ingest processes, as the server runs them, that admit every encoder."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.media_router import MediaRouter
from stagebook.media.port import Connected, IngestAsked, MediaFact, SourceMeasured
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings

_CONNECT_TIMEOUT_SECONDS = 20.0


class MediaServers:
    """The running processes. The stream key of an encoder is also its connection id and its source id."""

    def __init__(self, engines: EnginePool, ingest: IngestPool, *, port: int) -> None:
        self.media = MediaRouter(engines, ingest)
        self.measured: dict[str, SourceMeasured] = {}
        """The newest measurement of each source, by source id."""
        self.engines = engines
        self._ingest = ingest
        self._port = port
        self._connected: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.media.listen(self._on_fact)

    def url(self, name: str) -> str:
        """Return the URL to which the encoder `name` publishes."""
        return f"rtmp://127.0.0.1:{self._port}/app/{name}"

    async def wait_connected(self, name: str) -> None:
        """Wait until the encoder's audio and video have reached the engine. Raises TimeoutError."""
        async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
            await self._connected.setdefault(name, asyncio.Event()).wait()

    @property
    def engine_process_id(self) -> int:
        """The process id of the engine."""
        process_id = self.engines.engines[0].process_id
        assert process_id is not None
        return process_id

    @property
    def ingest_process_ids(self) -> tuple[int, ...]:
        """The process ids of the ingest processes."""
        process_ids = [worker.process_id for worker in self._ingest.workers]
        return tuple(process_id for process_id in process_ids if process_id is not None)

    def _on_fact(self, fact: MediaFact) -> None:
        match fact:
            case IngestAsked():
                task = asyncio.get_running_loop().create_task(self._admit(fact))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Connected():
                self._connected.setdefault(fact.connection_id, asyncio.Event()).set()
            case SourceMeasured():
                self.measured[fact.source_id] = fact

    async def _admit(self, asked: IngestAsked) -> None:
        name = asked.stream_key
        await self.media.ingest(ask_id=asked.ask_id, connection_id=name, source_id=name, is_redundant=False)


@asynccontextmanager
async def running_media_servers(*, ingest_processes: int = 1) -> AsyncIterator[MediaServers]:
    """Start one engine, and ingest processes on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        engines = EnginePool(EngineSettings(), processes=1)
        ingest = IngestPool(IngestSettings(), processes=ingest_processes, rtmp=listening, rtmps=None)
        await engines.start()
        try:
            await ingest.start()
            yield MediaServers(engines, ingest, port=listening.getsockname()[1])
        finally:
            await ingest.stop()
            await engines.stop()


@asynccontextmanager
async def running_encoder(servers: MediaServers, name: str, clip: Path) -> AsyncIterator[asyncio.StreamReader]:
    """Run an encoder process (see `encoder`). Yields its output once it is connected."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.ingest.encoder", servers.url(name), str(clip)), stdout=asyncio.subprocess.PIPE
    )
    try:
        await servers.wait_connected(name)
        assert process.stdout is not None
        yield process.stdout
    finally:
        process.kill()
        await process.wait()
