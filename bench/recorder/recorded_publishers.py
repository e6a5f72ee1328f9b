"""The whole recorder process, and what a tap costs the engine: publishers in real time, through real processes.

The engine, the ingest and the recorder process are those of a server; the recordings are stored in a folder. WebRTC
publishers send the synthetic stream with real Opus packets (`forwarder.publisher_and_viewer`), encoders a real clip by
RTMP (`ingest.encoder`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec

from bench.forwarder.forwarding_server import stagebook_engine
from bench.forwarder.running_peers import running_peers
from bench.ingest.clip import MOVING, make_clip
from bench.ingest.media_servers import running_encoder, running_media_servers
from bench.machine import CpuTimes, cpu_times
from bench.recorder.publisher_media import encode_packets
from stagebook.media.recording.processes.recorder_pool import RecorderPool
from stagebook.media.recording.recording_port import RecordingEnded, RecordingFact, RecordingRequest
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.storage.storage_settings import FolderStorage

PUBLISHERS = (1, 4, 12)
SETTLE_SECONDS = 4.0
WINDOW_SECONDS = 12.0
"""Two segments."""
LONG_INTERVALS = 10
_END_TIMEOUT_SECONDS = 30.0

AddPublisher: TypeAlias = Callable[[str], Awaitable[None]]
"""Connects a publisher of a new source."""


class PublishersRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds per second while so many publishers are recorded."""

    kind: str
    publishers: int
    media_share: float
    """Seconds of media that were recorded in a second: less than 1 if the machine was too busy for the publishers."""
    recorder: CpuTimes
    engine_alone: CpuTimes
    """Without recordings."""
    engine: CpuTimes
    recorder_megabytes: float
    """Resident memory of the recorder process at the end."""

    @property
    def recorder_ms(self) -> float:
        """Of the recorder process, for each publisher and second of media."""
        return 1_000 * sum(self.recorder) / self.publishers / self.media_share

    @property
    def tap_ms(self) -> float:
        """What a tap adds to the engine process, for each publisher."""
        return 1_000 * (sum(self.engine) - sum(self.engine_alone)) / self.publishers


class _Recorder:
    """A recorder process beside an engine."""

    def __init__(self, engines: EnginePool, folder: Path) -> None:
        self._pool = RecorderPool(
            engines,
            storage=FolderStorage(path=str(folder)),
            folder=folder,
            spool_bytes=1 << 30,
            end_timeout_seconds=_END_TIMEOUT_SECONDS,
        )
        self._pool.listen(self._on_fact)
        self._ended = 0
        self.recorded_seconds = 0.0
        """Of media, in all recordings that have ended."""
        self._number = 0
        self._changed = asyncio.Event()

    @property
    def process_id(self) -> int:
        """The process id of the recorder process."""
        process_id = self._pool.process_id
        assert process_id is not None
        return process_id

    async def start(self) -> None:
        """Start the process, and wait until it runs."""
        self._pool.prepare()
        async with asyncio.timeout(_END_TIMEOUT_SECONDS):
            while self._pool.worker is None:  # noqa: ASYNC110 - the pool has no event for it
                await asyncio.sleep(0.1)
        assert await self._pool.worker.ready(timeout_seconds=_END_TIMEOUT_SECONDS)

    async def stop(self) -> None:
        """End the process."""
        await self._pool.stop()

    def _on_fact(self, fact: RecordingFact) -> None:
        if isinstance(fact, RecordingEnded):
            self._ended += 1
            self.recorded_seconds += fact.duration_ms / 1_000
            self._changed.set()

    @asynccontextmanager
    async def recording(self, sources: Sequence[str]) -> AsyncIterator[None]:
        """Record sources. At the end all recordings are complete."""
        self._number += 1
        ids = [f"{source}-{self._number}" for source in sources]
        for source, recording_id in zip(sources, ids, strict=True):
            self._pool.start_recording(_request(source, recording_id))
        yield
        until = self._ended + len(ids)
        for recording_id in ids:
            self._pool.end_recording(recording_id)
        async with asyncio.timeout(_END_TIMEOUT_SECONDS):
            while self._ended < until:
                self._changed.clear()
                await self._changed.wait()


def _request(source: str, recording_id: str) -> RecordingRequest:
    return RecordingRequest(
        recording_id=recording_id,
        source_id=source,
        stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/bench",
        session_id="st-bench",
        participant_id=source,
        bucket_name="bench",
        prefix=recording_id,
        started_ms=0,
    )


async def measure_publishers(folder: Path) -> list[PublishersRecorded]:
    """Measure WebRTC publishers and encoders."""
    return [*await _measure_webrtc(folder / "webrtc"), *await _measure_rtmp(folder / "rtmp")]


async def recorded_for(folder: Path, interval_seconds: float, note: Callable[[float], None]) -> None:
    """Record a WebRTC publisher for LONG_INTERVALS, and note the resident memory at the start and after each."""
    sound = tuple(encode_packets())
    async with stagebook_engine() as engine, running_peers() as peers:
        await engine.add_publisher(peers, "source", sound=sound)
        recorder = _Recorder(engine.pool, folder)
        await recorder.start()
        try:
            async with recorder.recording(["source"]):
                await asyncio.sleep(2 * SETTLE_SECONDS)
                note(_resident_megabytes(recorder.process_id))
                for _ in range(LONG_INTERVALS):
                    await asyncio.sleep(interval_seconds)
                    note(_resident_megabytes(recorder.process_id))
        finally:
            await recorder.stop()


async def _measure_webrtc(folder: Path) -> list[PublishersRecorded]:
    sound = tuple(encode_packets())
    async with stagebook_engine() as engine, running_peers() as peers:

        async def add(source: str) -> None:
            await engine.add_publisher(peers, source, sound=sound)

        return await _measure("WebRTC", engine.pool, engine.process_id, folder, add)


async def _measure_rtmp(folder: Path) -> list[PublishersRecorded]:
    clip = folder.with_suffix(".flv")
    make_clip(clip, video_filter=MOVING, seconds=4)
    async with running_media_servers() as servers, AsyncExitStack() as encoders:

        async def add(source: str) -> None:
            await encoders.enter_async_context(running_encoder(servers, source, clip))

        return await _measure("RTMP", servers.engines, servers.engine_process_id, folder, add)


async def _measure(
    kind: str, engines: EnginePool, engine_process_id: int, folder: Path, add_publisher: AddPublisher
) -> list[PublishersRecorded]:
    recorder, sources, measured = _Recorder(engines, folder), list[str](), []
    try:
        await recorder.start()
        for count in PUBLISHERS:
            while len(sources) < count:
                sources.append(f"source-{len(sources)}")
                await add_publisher(sources[-1])
            (alone,) = await _window(engine_process_id)
            began, recorded_before = asyncio.get_running_loop().time(), recorder.recorded_seconds
            async with recorder.recording(sources):
                await asyncio.sleep(SETTLE_SECONDS)
                engine, recorded = await _window(engine_process_id, recorder.process_id)
                megabytes = _resident_megabytes(recorder.process_id)
                seconds = asyncio.get_running_loop().time() - began
            measured.append(
                PublishersRecorded(
                    kind=kind,
                    publishers=count,
                    media_share=(recorder.recorded_seconds - recorded_before) / seconds / count,
                    recorder=recorded,
                    engine_alone=alone,
                    engine=engine,
                    recorder_megabytes=megabytes,
                )
            )
    finally:
        await recorder.stop()
    return measured


async def _window(*process_ids: int) -> list[CpuTimes]:
    """Return the CPU seconds per second of processes."""
    await asyncio.sleep(SETTLE_SECONDS)
    before = [cpu_times(each) for each in process_ids]
    started = asyncio.get_running_loop().time()
    await asyncio.sleep(WINDOW_SECONDS)
    seconds = asyncio.get_running_loop().time() - started
    used = [(cpu_times(each), earlier) for each, earlier in zip(process_ids, before, strict=True)]
    return [CpuTimes(*((now - then) / seconds for now, then in zip(*each, strict=True))) for each in used]


def _resident_megabytes(process_id: int) -> float:
    """Return the resident memory of a process (proc(5), VmRSS)."""
    for line in Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
