"""The part `forwarder`: an engine process as the server runs it, with publishers and viewers, beside other servers.

Three measurements of the engine: one publisher and an increasing number of viewers, twelve publishers that all watch
each other, and the delay of packets to eight viewers. The first is then made with other servers, too, where they are
installed.
"""

import asyncio
import time
from pathlib import Path

import msgspec
import uvloop

from bench.figures import Line, fit_line
from bench.forwarder.forwarding_server import ForwardingServer, stagebook_engine
from bench.forwarder.other_servers import other_servers
from bench.forwarder.peers_process import Delays
from bench.forwarder.running_peers import PeersProcess, running_peers
from bench.forwarder.synthetic_stream import HEIGHT, WIDTH
from bench.report import Part, Table, Target, number
from stagebook.media.port import SourceMeasured

VIEWERS = (1, 20, 60)
EVERYBODY = 12
"""Publishers that all watch each other."""
TIMED_VIEWERS = 8
SETTLE_SECONDS = 1.5
WINDOW_SECONDS = 6.0
TARGET_VIEWERS_PER_CORE = 700
TARGET_STREAMS_PER_CORE = 600
TARGET_LOSS_PERCENT = 0.0
TARGET_P50_MS = 2.0
TARGET_P99_MS = 8.0
TARGET_TIMES = {"LiveKit": 2.5, "Janus": 4.0}
"""How many times the viewers of another server, as it is by default, a core is to carry."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a window: the CPU time of the server, and the packets that the viewers received and expected."""

    viewers: int
    seconds: float
    cpu_seconds: float
    received: int
    expected: int

    @property
    def load(self) -> float:
        """CPU seconds of the server per second."""
        return self.cpu_seconds / self.seconds

    @property
    def loss_percent(self) -> float:
        """The share of the expected packets that the viewers did not receive."""
        return 100 * (1 - self.received / self.expected)


class OneSource(msgspec.Struct, frozen=True, kw_only=True):
    """One server with one source."""

    server: str
    measured: tuple[Measured, ...]
    source: SourceMeasured | None
    """The source as the server measures it, at the end of the last window."""

    @property
    def line(self) -> Line:
        """The load by the number of viewers."""
        return fit_line([(one.viewers, one.load) for one in self.measured])

    @property
    def viewers_per_core(self) -> float:
        """Where the line reaches one CPU second per second."""
        return self.line.x_at(1.0)

    @property
    def loss_percent(self) -> float:
        """The highest of the windows. A server that loses packets does less work than one that does not."""
        return max(one.loss_percent for one in self.measured)


async def measure_window(server: ForwardingServer, viewers: PeersProcess, count: int) -> Measured:
    """Measure a window with the connected viewers, whose number is `count`."""
    await viewers.count()  # returns when media has reached every viewer
    await asyncio.sleep(SETTLE_SECONDS)
    before, cpu, start = await viewers.count(), server.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(WINDOW_SECONDS)
    used, seconds, after = server.cpu_seconds() - cpu, time.perf_counter() - start, await viewers.count()
    return Measured(
        viewers=count,
        seconds=seconds,
        cpu_seconds=used,
        received=after.received - before.received,
        expected=after.highest - before.highest,
    )


async def measure_one_source(server: ForwardingServer) -> OneSource:
    """Measure one publisher and an increasing number of viewers."""
    async with running_peers() as publishers, running_peers() as viewers:
        await server.add_publisher(publishers, "source")
        measured: list[Measured] = []
        connected = 0
        for count in VIEWERS:
            while connected < count:
                await server.add_viewer(viewers, "source")
                connected += 1
            measured.append(await measure_window(server, viewers, count))
        return OneSource(server=server.name, measured=tuple(measured), source=server.measured)


async def measure_everybody(server: ForwardingServer) -> Measured:
    """Measure publishers that all watch each other."""
    async with running_peers() as publishers, running_peers() as viewers:
        sources = [f"source {number}" for number in range(EVERYBODY)]
        for source in sources:
            await server.add_publisher(publishers, source)
        for source in sources:
            for _ in range(EVERYBODY - 1):
                await server.add_viewer(viewers, source)
        return await measure_window(server, viewers, EVERYBODY * (EVERYBODY - 1))


async def measure_delays(server: ForwardingServer) -> Delays:
    """Measure how long packets are on their way to TIMED_VIEWERS viewers."""
    async with running_peers() as publishers, running_peers() as viewers:
        await server.add_publisher(publishers, "source")
        for _ in range(TIMED_VIEWERS):
            await server.add_viewer(viewers, "source", is_timed=True)
        await viewers.count()
        await asyncio.sleep(SETTLE_SECONDS)
        await viewers.take_delays()
        await asyncio.sleep(WINDOW_SECONDS)
        return await viewers.take_delays()


def measure_forwarder(folder: Path) -> Part:
    """Measure the part and return its report."""
    return uvloop.run(_measure(folder))


async def _measure(folder: Path) -> Part:
    async with stagebook_engine() as engine:
        one_source = await measure_one_source(engine)
    async with stagebook_engine() as engine:
        everybody = await measure_everybody(engine)
    async with stagebook_engine() as engine:
        delays = await measure_delays(engine)
    return _report(one_source, everybody, delays, await _measure_others(folder))


async def _measure_others(folder: Path) -> list[OneSource]:
    """Measure the same source with the other servers that are installed."""
    measured = []
    for running in other_servers(folder):
        async with running as server:
            measured.append(await measure_one_source(server))
        if measured[-1].loss_percent:
            print(f"{server.name} lost packets: its viewers per core are not comparable", flush=True)
    return measured


def _report(one_source: OneSource, everybody: Measured, delays: Delays, others: list[OneSource]) -> Part:
    source = one_source.source
    assert source is not None
    assert (source.width, source.height) == (WIDTH, HEIGHT), "the engine did not parse the stream"
    windows = [*one_source.measured, everybody]
    rows = [(f"1, {one.viewers}", *_cells(one)) for one in one_source.measured]
    rows.append((f"{EVERYBODY}, {everybody.viewers}", *_cells(everybody)))
    headings = ("sources, viewers", "packets/s", "packets/s per viewer", "loss %", "CPU s/s", "CPU us/packet")
    p50, p99 = (f"{seconds * 1e3:.2f}" for seconds in (delays.p50_seconds, delays.p99_seconds))
    delay_table = Table(
        headings=("delay of a packet", "p50 ms", "p99 ms"), rows=((f"1 source, {TIMED_VIEWERS} viewers", p50, p99),)
    )
    return Part(
        title="The forwarder",
        method=_method(one_source, source),
        tables=(Table(headings=headings, rows=tuple(rows)), delay_table, _servers_table([one_source, *others])),
        targets=(
            Target(
                what="viewers per core", measured=int(one_source.viewers_per_core), at_least=TARGET_VIEWERS_PER_CORE
            ),
            Target(
                what=f"{EVERYBODY} publishers that watch each other, streams per core",
                measured=int(everybody.viewers / everybody.load),
                at_least=TARGET_STREAMS_PER_CORE,
            ),
            Target(
                what="forwarder, maximum loss",
                measured=max(one.loss_percent for one in windows),
                at_most=TARGET_LOSS_PERCENT,
                unit="%",
            ),
            Target(what="delay of a packet, p50", measured=delays.p50_seconds * 1e3, at_most=TARGET_P50_MS, unit="ms"),
            Target(what="delay of a packet, p99", measured=delays.p99_seconds * 1e3, at_most=TARGET_P99_MS, unit="ms"),
            *(
                Target(
                    what=f"viewers per core, relative to {other.server}",
                    measured=one_source.viewers_per_core / other.viewers_per_core,
                    at_least=TARGET_TIMES[other.server],
                    unit="x",
                )
                for other in others
                if other.server in TARGET_TIMES and not other.loss_percent
            ),
        ),
    )


def _servers_table(servers: list[OneSource]) -> Table:
    """The servers on the same source."""
    rows = tuple(
        (
            one.server,
            f"{one.line.base * 1e3:.1f}",
            f"{one.line.slope * 1e3:.2f}",
            str(int(one.viewers_per_core)),
            f"{one.loss_percent:.3f}",
        )
        for one in servers
    )
    headings = ("server", "CPU ms/s of the source", "CPU ms/s of a viewer", "viewers per core", "maximum loss %")
    return Table(headings=headings, rows=rows)


def _cells(one: Measured) -> tuple[str, ...]:
    return (
        number(one.received / one.seconds),
        number(one.received / one.seconds / one.viewers),
        f"{one.loss_percent:.3f}",
        f"{one.load:.3f}",
        f"{one.cpu_seconds / one.received * 1e6:.2f}",
    )


def _method(one_source: OneSource, source: SourceMeasured) -> str:
    return (
        f"A publisher sends {source.width}x{source.height} at {source.frames_per_second:.0f} frames/s, "
        f"{(source.bitrate_bps or 0) / 1e6:.1f} Mbit/s of H.264 and Opus together, as the engine measures it; the "
        "packets of a frame are 2 ms apart, as browsers pace them. "
        "Every viewer has its own connection (ICE, DTLS, SRTP with "
        "AES-GCM), sends reports and consent checks like a browser, decrypts its first 50 packets and counts the "
        "others. The publishers and the viewers are in two other processes. CPU is user and system time of the engine "
        f"process in windows of {WINDOW_SECONDS:.0f} s. Viewers per core is where the least-squares line through the "
        f"rows of one source reaches one CPU second per second: {one_source.line.base * 1e3:.1f} ms for the source and "
        f"{one_source.line.slope * 1e3:.2f} ms per viewer. A delay is the time from the call with which the publisher "
        "sends a packet to the moment when the system receives it for the viewer's socket."
    )
