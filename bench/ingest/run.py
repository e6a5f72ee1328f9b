"""The part `ingest`: ingest processes and an engine process, and RTMP encoders that use libavformat."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import uvloop

from bench.figures import Line, fit_line, median, percentile
from bench.ingest.clip import BLINKING, FRAMES_PER_SECOND, MOVING, make_clip
from bench.ingest.latency import decoding_ms, measure_latency
from bench.ingest.media_servers import MediaServers, running_encoder, running_media_servers
from bench.machine import cpu_seconds
from bench.report import Part, Table, Target, number

ENCODERS = (1, 2, 4, 8)
"""The numbers of encoders of one ingest process. Two processes are measured with the last number."""
CLIP_SECONDS = 4
SETTLE_SECONDS = 2.0
WINDOW_SECONDS = 6.0
KEYFRAMES = 20
TARGET_CPU_MS = 50
"""CPU time per second of a stream: 20 streams per core."""
TARGET_LATENCY_MS = 100


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a window: the CPU seconds per second of each process."""

    encoders: int
    ingest_loads: tuple[float, ...]
    engine_load: float

    @property
    def ingest_load(self) -> float:
        """The CPU seconds per second of all ingest processes together."""
        return sum(self.ingest_loads)


def measure_ingest(folder: Path) -> Part:
    """Measure the part and return its report."""
    moving, blinking = folder / "moving.flv", folder / "blinking.flv"
    make_clip(moving, video_filter=MOVING, seconds=CLIP_SECONDS)
    make_clip(blinking, video_filter=BLINKING, seconds=CLIP_SECONDS)
    return uvloop.run(_measure(moving, blinking))


async def _measure(moving: Path, blinking: Path) -> Part:
    async with running_media_servers() as servers:
        measured, bitrate_bps = await _measure_load(servers, moving, ENCODERS)
        latencies_ms = await measure_latency(servers, blinking, keyframes=KEYFRAMES)
    async with running_media_servers(ingest_processes=2) as servers:
        (shared,), _ = await _measure_load(servers, moving, ENCODERS[-1:])
    return _report(measured, shared, bitrate_bps, latencies_ms, decoding_ms(blinking))


async def _measure_load(servers: MediaServers, clip: Path, counts: Sequence[int]) -> tuple[list[Measured], int]:
    measured: list[Measured] = []
    async with AsyncExitStack() as encoders:
        for count in counts:
            for index in range(measured[-1].encoders if measured else 0, count):
                await encoders.enter_async_context(running_encoder(servers, f"encoder-{index}", clip))
            await asyncio.sleep(SETTLE_SECONDS)
            measured.append(await _window(servers, count))
        bitrates = [source.bitrate_bps or 0 for source in servers.measured.values()]
    return measured, int(median(bitrates))


async def _window(servers: MediaServers, encoders: int) -> Measured:
    ids = (servers.engine_process_id, *servers.ingest_process_ids)
    before, start = [cpu_seconds(each) for each in ids], time.perf_counter()
    await asyncio.sleep(WINDOW_SECONDS)
    seconds = time.perf_counter() - start
    engine, *ingest = ((cpu_seconds(each) - cpu) / seconds for each, cpu in zip(ids, before, strict=True))
    return Measured(encoders=encoders, ingest_loads=tuple(ingest), engine_load=engine)


def _report(
    measured: list[Measured], shared: Measured, bitrate_bps: int, latencies_ms: list[float], decoding: list[float]
) -> Part:
    ingest = fit_line([(one.encoders, one.ingest_load) for one in measured])
    engine = fit_line([(one.encoders, one.engine_load) for one in measured])
    loads = tuple((str(one.encoders), f"{one.ingest_load:.3f}", f"{one.engine_load:.3f}") for one in measured)
    times = tuple(
        (what, number(median(values)), number(percentile(values, 95)), number(max(values)))
        for what, values in (
            ("from the encoder to the viewer's decoded frame", latencies_ms),
            ("the decoder alone", decoding),
        )
    )
    return Part(
        title="Encoder ingest",
        method=_method(bitrate_bps, keyframes=len(latencies_ms), ingest=ingest, engine=engine),
        tables=(
            Table(headings=("encoders", "ingest CPU s/s", "engine CPU s/s"), rows=loads),
            _processes_table(measured[-1], shared),
            Table(headings=("latency of a keyframe", "p50 ms", "p95 ms", "worst ms"), rows=times),
        ),
        targets=(
            Target(
                what="stream of an encoder, CPU of ingest and engine",
                measured=(ingest.slope + engine.slope) * 1e3,
                at_most=TARGET_CPU_MS,
                unit="ms/s",
            ),
            Target(
                what="latency of a keyframe, p50", measured=median(latencies_ms), at_most=TARGET_LATENCY_MS, unit="ms"
            ),
        ),
    )


def _processes_table(one: Measured, two: Measured) -> Table:
    rows = tuple(
        (
            str(len(each.ingest_loads)),
            str(each.encoders),
            ", ".join(f"{load:.3f}" for load in each.ingest_loads),
            f"{each.ingest_load:.3f}",
        )
        for each in (one, two)
    )
    return Table(headings=("ingest processes", "encoders", "CPU s/s of each", "together"), rows=rows)


def _method(bitrate_bps: int, *, keyframes: int, ingest: Line, engine: Line) -> str:
    return (
        "Each encoder is a process with libavformat that sends 1280x720 at 30 frames/s by RTMP: "
        f"{bitrate_bps / 1e6:.1f} Mbit/s of H.264 and Opus together as the engine measures it; the audio is sent as "
        "AAC at 128 kbit/s. There are no viewers while CPU is measured; CPU is user and system time in windows of "
        f"{WINDOW_SECONDS:.0f} s. By the least-squares lines, a stream costs {ingest.slope * 1e3:.1f} ms per second in "
        f"the ingest process (RTMP, AAC to Opus, RTP payloads) and {engine.slope * 1e3:.1f} ms in the engine. The "
        f"latency is that of {keyframes} keyframes, one per second: from the moment before a keyframe is passed to "
        "libavformat to the moment when aiortc's decoder returns the frame, all on this machine. aiortc decodes a "
        "frame when the first packet of the next one has arrived; the latency therefore contains a wait of "
        f"{1_000 / FRAMES_PER_SECOND:.0f} ms."
    )
