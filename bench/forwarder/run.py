"""Measures the forwarder: an engine process as the server runs it, one publisher, more and more viewers."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.figures import Line, fit_line
from bench.forwarder.peers import Connect, Connected, Count, Counted, MakeOffer, Offer, Order, Reply, replies
from bench.forwarder.source import HEIGHT, WIDTH
from bench.machine import cpu_seconds
from bench.report import Aim, Part, Table, number
from stagebook.media.port import MediaFact, SourceMeasured
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine.engine_settings import EngineSettings

VIEWERS = (1, 5, 10, 20, 60)
SETTLE_SECONDS = 1.5
WINDOW_SECONDS = 6.0
AIM_VIEWERS_PER_CORE = 400
AIM_LOSS_PERCENT = 0.1
_REPLY_TIMEOUT_SECONDS = 20.0
_SOURCE_ID = "source"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One window: the engine's CPU time, and what its viewers got."""

    viewers: int
    seconds: float
    cpu_seconds: float
    received: int
    expected: int

    @property
    def load(self) -> float:
        """CPU seconds per second."""
        return self.cpu_seconds / self.seconds

    @property
    def loss_percent(self) -> float:
        """How much of what was sent to the viewers did not arrive."""
        return 100 * (1 - self.received / self.expected)


class PeersProcess:
    """The process of the publisher and the viewers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, order: Order) -> Reply:
        """Send an order and return its reply. Raises TimeoutError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        async with asyncio.timeout(_REPLY_TIMEOUT_SECONDS):
            return replies.decode(await self._process.stdout.readline())

    async def count(self) -> Counted:
        """Return what the viewers got so far."""
        reply = await self.ask(Count())
        assert isinstance(reply, Counted)
        return reply


class Bench:
    """One engine and its peers."""

    def __init__(self, pool: EnginePool, peers: PeersProcess) -> None:
        self._pool = pool
        self._peers = peers
        self.viewers = 0
        self.source: SourceMeasured | None = None
        pool.listen(self._hear)

    def _hear(self, fact: MediaFact) -> None:
        if isinstance(fact, SourceMeasured):
            self.source = fact

    async def add_publisher(self) -> None:
        """Let the publisher connect and send."""
        offer = await self._offer(publishes=True)
        answer = await self._pool.publish(connection_id="publisher", source_id=_SOURCE_ID, offer=offer)
        assert isinstance(await self._peers.ask(Connect(answer=answer.sdp)), Connected)

    async def add_viewer(self) -> None:
        """Let one more viewer connect."""
        offer = await self._offer(publishes=False)
        self.viewers += 1
        connection_id = f"viewer-{self.viewers}"
        answer = await self._pool.subscribe(connection_id=connection_id, source_id=_SOURCE_ID, offer=offer)
        assert isinstance(await self._peers.ask(Connect(answer=answer.sdp)), Connected)

    async def measure(self) -> Measured:
        """Measure one window with the viewers that are there."""
        process_id = self._pool.engines[0].process_id
        assert process_id is not None
        await self._peers.count()  # media has reached everybody then
        await asyncio.sleep(SETTLE_SECONDS)
        before, cpu, start = await self._peers.count(), cpu_seconds(process_id), time.perf_counter()
        await asyncio.sleep(WINDOW_SECONDS)
        used, seconds, after = cpu_seconds(process_id) - cpu, time.perf_counter() - start, await self._peers.count()
        return Measured(
            viewers=self.viewers,
            seconds=seconds,
            cpu_seconds=used,
            received=after.received - before.received,
            expected=after.highest - before.highest,
        )

    async def _offer(self, *, publishes: bool) -> str:
        reply = await self._peers.ask(MakeOffer(publishes=publishes))
        assert isinstance(reply, Offer)
        return reply.sdp


def measure_forwarder(_folder: Path) -> Part:
    """Run it and return the report."""
    return uvloop.run(_measure())


async def _measure() -> Part:
    pool = EnginePool(EngineSettings(), processes=1)
    await pool.start()
    try:
        async with _peers() as peers:
            bench = Bench(pool, peers)
            await bench.add_publisher()
            measured = []
            for viewers in VIEWERS:
                while bench.viewers < viewers:
                    await bench.add_viewer()
                measured.append(await bench.measure())
            assert bench.source is not None
            return _report(measured, bench.source)
    finally:
        await pool.stop()


@asynccontextmanager
async def _peers() -> AsyncIterator[PeersProcess]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.forwarder.peers"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield PeersProcess(process)
    finally:
        process.terminate()
        await process.wait()


def _report(measured: list[Measured], source: SourceMeasured) -> Part:
    assert (source.width, source.height) == (WIDTH, HEIGHT), "the engine did not understand the stream"
    line = fit_line([(one.viewers, one.load) for one in measured])
    worst_loss = max(one.loss_percent for one in measured)
    rows = tuple(
        (
            str(one.viewers),
            number(one.received / one.seconds),
            number(one.received / one.seconds / one.viewers),
            f"{one.loss_percent:.3f}",
            f"{one.load:.3f}",
        )
        for one in measured
    )
    headings = ("viewers", "packets/s", "packets/s to each", "loss %", "CPU s/s")
    return Part(
        title="The forwarder",
        method=_method(line, source),
        tables=(Table(headings=headings, rows=rows),),
        aims=(
            Aim(what="viewers per core", measured=int(line.reaches(1.0)), at_least=AIM_VIEWERS_PER_CORE),
            Aim(what="forwarder, loss at worst", measured=worst_loss, at_most=AIM_LOSS_PERCENT, unit="%"),
        ),
    )


def _method(line: Line, source: SourceMeasured) -> str:
    return (
        f"One publisher of {source.width}x{source.height} at {source.frames_per_second:.0f} frames/s, "
        f"{source.bitrate_bps / 1e6:.1f} Mbit/s of H.264 and Opus together, as the engine itself measures it; the "
        "packets of a frame 2 ms apart, as browsers pace them. Every viewer has a connection of its own (ICE, DTLS, "
        "SRTP with AES-GCM), reports and keeps consent as a browser does, decrypts its first 50 packets and then "
        "counts. Publisher and viewers are in another process. CPU is user and system time of the engine process "
        f"in windows of {WINDOW_SECONDS:.0f} s. Viewers per core is where the line of least squares through the "
        f"rows reaches one CPU second per second: {line.base * 1e3:.1f} ms for the source and {line.slope * 1e3:.2f} "
        "ms for each viewer."
    )
