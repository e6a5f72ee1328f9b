"""The part `forwarder`: an engine process as the server runs it, one publisher and an increasing number of viewers."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.figures import Line, fit_line
from bench.forwarder.peers_process import (
    Connect,
    Connected,
    Count,
    Counted,
    MakeOffer,
    Offer,
    PeerCommand,
    Reply,
    reply_decoder,
)
from bench.forwarder.synthetic_stream import HEIGHT, WIDTH
from bench.machine import cpu_seconds
from bench.report import Part, Table, Target, number
from stagebook.media.port import MediaFact, SourceMeasured
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings

VIEWERS = (1, 5, 10, 20, 60)
SETTLE_SECONDS = 1.5
WINDOW_SECONDS = 6.0
TARGET_VIEWERS_PER_CORE = 400
TARGET_LOSS_PERCENT = 0.1
_REPLY_TIMEOUT_SECONDS = 20.0
_SOURCE_ID = "source"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a window: the CPU time of the engine, and the packets that the viewers received and expected."""

    viewers: int
    seconds: float
    cpu_seconds: float
    received: int
    expected: int

    @property
    def load(self) -> float:
        """CPU seconds of the engine per second."""
        return self.cpu_seconds / self.seconds

    @property
    def loss_percent(self) -> float:
        """The share of the expected packets that the viewers did not receive."""
        return 100 * (1 - self.received / self.expected)


class PeersProcess:
    """The process of the publisher and the viewers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def request(self, command: PeerCommand) -> Reply:
        """Send a command and return its reply. Raises TimeoutError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        async with asyncio.timeout(_REPLY_TIMEOUT_SECONDS):
            return reply_decoder.decode(await self._process.stdout.readline())

    async def count(self) -> Counted:
        """Return the totals of the viewers so far."""
        reply = await self.request(Count())
        assert isinstance(reply, Counted)
        return reply


class ForwarderBench:
    """An engine process and its peers."""

    def __init__(self, pool: EnginePool, peers: PeersProcess) -> None:
        self._pool = pool
        self._peers = peers
        self.viewers = 0
        self.source: SourceMeasured | None = None
        pool.listen(self._on_fact)

    def _on_fact(self, fact: MediaFact) -> None:
        if isinstance(fact, SourceMeasured):
            self.source = fact

    async def add_publisher(self) -> None:
        """Connect the publisher, which then sends."""
        offer = await self._offer(publishes=True)
        answer = await self._pool.publish(connection_id="publisher", source_id=_SOURCE_ID, offer=offer)
        assert isinstance(await self._peers.request(Connect(answer=answer.sdp)), Connected)

    async def add_viewer(self) -> None:
        """Connect one more viewer."""
        offer = await self._offer(publishes=False)
        self.viewers += 1
        connection_id = f"viewer-{self.viewers}"
        answer = await self._pool.subscribe(connection_id=connection_id, source_id=_SOURCE_ID, offer=offer)
        assert isinstance(await self._peers.request(Connect(answer=answer.sdp)), Connected)

    async def measure(self) -> Measured:
        """Measure a window with the connected viewers."""
        process_id = self._pool.engines[0].process_id
        assert process_id is not None
        await self._peers.count()  # returns when media has reached every viewer
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
        reply = await self._peers.request(MakeOffer(publishes=publishes))
        assert isinstance(reply, Offer)
        return reply.sdp


def measure_forwarder(_folder: Path) -> Part:
    """Measure the part and return its report."""
    return uvloop.run(_measure())


async def _measure() -> Part:
    pool = EnginePool(EngineSettings(), processes=1)
    await pool.start()
    try:
        async with _peers() as peers:
            bench = ForwarderBench(pool, peers)
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
        *(sys.executable, "-m", "bench.forwarder.peers_process"),
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
    assert (source.width, source.height) == (WIDTH, HEIGHT), "the engine did not parse the stream"
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
    headings = ("viewers", "packets/s", "packets/s per viewer", "loss %", "CPU s/s")
    return Part(
        title="The forwarder",
        method=_method(line, source),
        tables=(Table(headings=headings, rows=rows),),
        targets=(
            Target(what="viewers per core", measured=int(line.x_at(1.0)), at_least=TARGET_VIEWERS_PER_CORE),
            Target(what="forwarder, maximum loss", measured=worst_loss, at_most=TARGET_LOSS_PERCENT, unit="%"),
        ),
    )


def _method(line: Line, source: SourceMeasured) -> str:
    return (
        f"One publisher of {source.width}x{source.height} at {source.frames_per_second:.0f} frames/s, "
        f"{source.bitrate_bps / 1e6:.1f} Mbit/s of H.264 and Opus together, as the engine measures it; the packets of "
        "a frame are 2 ms apart, as browsers pace them. Every viewer has its own connection (ICE, DTLS, SRTP with "
        "AES-GCM), sends reports and consent checks like a browser, decrypts its first 50 packets and counts the "
        "others. The publisher and the viewers are in another process. CPU is user and system time of the engine "
        f"process in windows of {WINDOW_SECONDS:.0f} s. Viewers per core is where the least-squares line through the "
        f"rows reaches one CPU second per second: {line.base * 1e3:.1f} ms for the source and {line.slope * 1e3:.2f} "
        "ms per viewer."
    )
