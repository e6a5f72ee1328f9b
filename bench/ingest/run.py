"""Measures encoder ingest: the ingest process and an engine as the server runs them, and real RTMP encoders."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import uvloop

from bench.figures import Line, fit_line, median, percentile
from bench.ingest.clip import BLINKING, FRAMES_PER_SECOND, MOVING, make_clip
from bench.ingest.house import House, open_house, running_encoder
from bench.ingest.latency import decoding_ms, measure_latency
from bench.machine import cpu_seconds
from bench.report import Aim, Part, Table, number

ENCODERS = (1, 2, 4, 8)
CLIP_SECONDS = 4
SETTLE_SECONDS = 2.0
WINDOW_SECONDS = 6.0
KEYFRAMES = 20
AIM_CPU_MS = 50
"""Twenty streams a core."""
AIM_KEYFRAME_MS = 100


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One window: CPU seconds per second of both processes."""

    encoders: int
    ingest_load: float
    engine_load: float


def measure_ingest(folder: Path) -> Part:
    """Run it and return the report."""
    moving, blinking = folder / "moving.flv", folder / "blinking.flv"
    make_clip(moving, picture=MOVING, seconds=CLIP_SECONDS)
    make_clip(blinking, picture=BLINKING, seconds=CLIP_SECONDS)
    return uvloop.run(_measure(moving, blinking))


async def _measure(moving: Path, blinking: Path) -> Part:
    async with open_house() as house:
        measured, bitrate_bps = await _measure_load(house, moving)
        taken_ms = await measure_latency(house, blinking, keyframes=KEYFRAMES)
    return _report(measured, bitrate_bps, taken_ms, decoding_ms(blinking))


async def _measure_load(house: House, clip: Path) -> tuple[list[Measured], int]:
    measured: list[Measured] = []
    async with AsyncExitStack() as encoders:
        for count in ENCODERS:
            for index in range(measured[-1].encoders if measured else 0, count):
                await encoders.enter_async_context(running_encoder(house, f"encoder-{index}", clip))
            await asyncio.sleep(SETTLE_SECONDS)
            measured.append(await _window(house, count))
        bitrates = [seen.bitrate_bps for seen in house.measured.values()]
    return measured, int(median(bitrates))


async def _window(house: House, encoders: int) -> Measured:
    ids = (house.ingest_process_id, house.engine_process_id)
    before, start = [cpu_seconds(each) for each in ids], time.perf_counter()
    await asyncio.sleep(WINDOW_SECONDS)
    seconds = time.perf_counter() - start
    ingest, engine = (cpu_seconds(each) - cpu for each, cpu in zip(ids, before, strict=True))
    return Measured(encoders=encoders, ingest_load=ingest / seconds, engine_load=engine / seconds)


def _report(measured: list[Measured], bitrate_bps: int, taken_ms: list[float], decoding: list[float]) -> Part:
    ingest = fit_line([(one.encoders, one.ingest_load) for one in measured])
    engine = fit_line([(one.encoders, one.engine_load) for one in measured])
    loads = tuple((str(one.encoders), f"{one.ingest_load:.3f}", f"{one.engine_load:.3f}") for one in measured)
    times = tuple(
        (what, number(median(values)), number(percentile(values, 95)), number(max(values)))
        for what, values in (("from the encoder to the viewer's picture", taken_ms), ("the decoder alone", decoding))
    )
    return Part(
        title="Encoder ingest",
        method=_method(bitrate_bps, keyframes=len(taken_ms), ingest=ingest, engine=engine),
        tables=(
            Table(headings=("encoders", "ingest CPU s/s", "engine CPU s/s"), rows=loads),
            Table(headings=("a keyframe's time", "p50 ms", "p95 ms", "worst ms"), rows=times),
        ),
        aims=(
            Aim(
                what="an encoder's stream, CPU of ingest and engine",
                measured=(ingest.slope + engine.slope) * 1e3,
                at_most=AIM_CPU_MS,
                unit="ms/s",
            ),
            Aim(what="a keyframe's time, p50", measured=median(taken_ms), at_most=AIM_KEYFRAME_MS, unit="ms"),
        ),
    )


def _method(bitrate_bps: int, *, keyframes: int, ingest: Line, engine: Line) -> str:
    return (
        "Encoders are libavformat, each in a process of its own, sending 1280x720 at 30 frames/s by plain RTMP: "
        f"{bitrate_bps / 1e6:.1f} Mbit/s of H.264 and Opus together as the engine measures it, with AAC at 128 kbit/s "
        f"on the way in. Nobody watches while CPU is measured: user and system time in windows of "
        f"{WINDOW_SECONDS:.0f} s. By the lines of least squares a stream costs {ingest.slope * 1e3:.1f} ms a second in "
        f"the ingest process (RTMP, AAC to Opus, RTP payloads) and {engine.slope * 1e3:.1f} ms in the engine. A "
        f"keyframe's time is that of {keyframes}, one a second: from the moment before it is handed to libavformat to "
        "the moment aiortc's decoder gives the picture out, all on this machine. aiortc decodes a picture when the "
        f"next one's first packet is there: {1_000 / FRAMES_PER_SECOND:.0f} ms of that time are spent waiting for it."
    )
