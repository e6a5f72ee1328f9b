"""The part `engines`: how many more viewers of one publisher several engine processes carry than one.

The processor time of a process does not depend on the number of cores, so two cores show what four engines carry.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from bench.forwarder.forwarding_server import StagebookEngine
from bench.forwarder.running_peers import PeersProcess, running_peers
from bench.machine import cpu_seconds
from bench.report import Part, Table, Target
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine_settings import EngineSettings

ENGINES = (1, 2, 4)
VIEWERS = (40, 120)
RELAY_MARGIN = 4
"""Smaller than that of the server, so that these few viewers are spread over all engines."""
SETTLE_SECONDS = 1.5
WINDOW_SECONDS = 6.0
TARGET_TIMES = {2: 1.8, 4: 3.4}
"""How many times the viewers of one engine several of them are to carry."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The CPU seconds per second of each engine, while so many viewers watch one publisher."""

    viewers: int
    loads: tuple[float, ...]
    lost: int
    """Packets that the viewers expected and did not receive."""


class Engines(msgspec.Struct, frozen=True, kw_only=True):
    """The windows of a number of engines."""

    count: int
    windows: tuple[Window, ...]

    @property
    def points(self) -> list[tuple[float, float]]:
        """The viewers of each engine and the load of the busiest, for each window."""
        return [(window.viewers / self.count, max(window.loads)) for window in self.windows]

    def capacity(self, slope: float) -> float:
        """The viewers at which the busiest engine needs a whole core, if each viewer of it costs `slope`."""
        return self.count * (1.0 - self.base(slope)) / slope

    def base(self, slope: float) -> float:
        """What the busiest engine needs for the source and its relays."""
        return sum(load - slope * viewers for viewers, load in self.points) / len(self.points)


def common_slope(measured: Sequence[Engines]) -> float:
    """What a viewer costs: the least-squares slope of parallel lines, one for each number of engines."""
    covariance = variance = 0.0
    for engines in measured:
        mean_x, mean_y = (sum(values) / len(values) for values in zip(*engines.points, strict=True))
        covariance += sum((x - mean_x) * (y - mean_y) for x, y in engines.points)
        variance += sum((x - mean_x) ** 2 for x, _ in engines.points)
    return covariance / variance


async def measure_count(count: int) -> Engines:
    """Measure one publisher and its viewers on so many engines."""
    pool = EnginePool(EngineSettings(), processes=count, relay_margin=RELAY_MARGIN)
    await pool.start()
    try:
        server = StagebookEngine(pool)
        async with running_peers() as publishers, running_peers() as viewers:
            await server.add_publisher(publishers, "source")
            windows: list[Window] = []
            connected = 0
            for wanted in VIEWERS:
                while connected < wanted:
                    await server.add_viewer(viewers, "source")
                    connected += 1
                windows.append(await _measure_window(pool, viewers, wanted))
    finally:
        await pool.stop()
    return Engines(count=count, windows=tuple(windows))


async def _measure_window(pool: EnginePool, viewers: PeersProcess, count: int) -> Window:
    await viewers.count()  # returns when media has reached every viewer
    await asyncio.sleep(SETTLE_SECONDS)
    before, cpu, start = await viewers.count(), _cpu(pool), time.perf_counter()
    await asyncio.sleep(WINDOW_SECONDS)
    used = [after - earlier for after, earlier in zip(_cpu(pool), cpu, strict=True)]
    seconds, after = time.perf_counter() - start, await viewers.count()
    expected, received = after.highest - before.highest, after.received - before.received
    return Window(viewers=count, loads=tuple(each / seconds for each in used), lost=max(0, expected - received))


def _cpu(pool: EnginePool) -> list[float]:
    return [cpu_seconds(engine.process_id) for engine in pool.engines if engine.process_id is not None]


def measure_engines(folder: Path) -> Part:  # noqa: ARG001 - the signature of a part
    """Measure the part and return its report."""
    return report([uvloop.run(measure_count(count)) for count in ENGINES])


def report(measured: Sequence[Engines]) -> Part:
    """The report of these numbers of engines. The first is one engine."""
    slope = common_slope(measured)
    one = measured[0].capacity(slope)
    return Part(
        title="One publisher on several engines",
        method=(
            "The publisher and the viewers of the part `forwarder`, with the viewers spread evenly over the engines. "
            "The publisher's engine relays its media to the others. CPU is user and system time of each process in "
            f"windows of {WINDOW_SECONDS:.0f} s, as if each had a core of its own. Parallel least-squares lines "
            f"through the loads of the busiest engines, by the viewers of an engine, give {slope * 1e3:.2f} ms per "
            "second for a viewer, and for each number of engines what the source and its relays cost. The capacity is "
            "the number of viewers at which the busiest engine needs a core."
        ),
        tables=(
            Table(
                headings=("engines, viewers", "CPU s/s of each engine", "lost packets"),
                rows=tuple(_row(each.count, window) for each in measured for window in each.windows),
            ),
            Table(
                headings=("engines", "CPU ms/s of the source and its relays", "capacity", "times that of one engine"),
                rows=tuple(_capacity_row(each, slope, one) for each in measured),
            ),
        ),
        targets=tuple(
            Target(
                what=f"viewers on {each.count} engines, relative to one engine",
                measured=each.capacity(slope) / one,
                at_least=TARGET_TIMES[each.count],
                unit="x",
            )
            for each in measured
            if each.count in TARGET_TIMES
        ),
    )


def _row(count: int, window: Window) -> tuple[str, ...]:
    return (f"{count}, {window.viewers}", ", ".join(f"{load:.3f}" for load in window.loads), str(window.lost))


def _capacity_row(engines: Engines, slope: float, one: float) -> tuple[str, ...]:
    capacity = engines.capacity(slope)
    return (str(engines.count), f"{engines.base(slope) * 1e3:.1f}", f"{capacity:.0f}", f"{capacity / one:.2f}")
