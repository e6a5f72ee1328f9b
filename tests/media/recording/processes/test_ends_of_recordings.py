"""The end of a recording whose process is behind: everything that the engine has received is recorded.

The recorder process is stopped (SIGSTOP) while the publisher sends and ends, so all of it waits for the process. What
is compared are counts of pictures, not times.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import Connected
from stagebook.media.recording.processes.recorder_messages import SPOOL_NAME
from stagebook.media.recording.processes.recorder_pool import RecorderPool
from stagebook.media.recording.recording_port import (
    RecordingEnded,
    RecordingFact,
    RecordingFailed,
    RecordingStarted,
)
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from stagebook.storage.storage_settings import FolderStorage
from tests.media.recording.hls_rules import read_playlist
from tests.media.recording.mp4_reading import samples
from tests.media.recording.recorded_publisher import make_request
from tests.media.rtc.engine.running_pool import Scenario, running_pool, until
from tests.media.rtc.feed_client import FeedClient, VideoOptions, audio_units, video_units
from tests.media.tap.recorded_taps import RecordedTaps, recorded_taps

FRAMES_BEHIND = 120
GOP_FRAMES = 60
OPTIONS = VideoOptions(gop_frames=GOP_FRAMES, bitrate_bps=4_000_000)
"""What is behind has 2 MB: more than this process reads at a time, and less than an engine keeps for a tap."""
REQUEST = make_request()


class CountedTaps:
    """Opens taps as the pool of engines does, and counts them."""

    def __init__(self, pool: EnginePool) -> None:
        self.opened = 0
        self._pool = pool

    async def open_tap(
        self,
        source_id: str,
        accept: Callable[[SourceDescription], Awaitable[FeedTicket]],
        *,
        feed_id: str | None = None,
    ) -> None:
        """As EnginePool.open_tap."""
        await self._pool.open_tap(source_id, accept, feed_id=feed_id)
        self.opened += 1


class RecordedEncoder:
    """An encoder that is recorded, and tapped a second time to see what the engine has received."""

    def __init__(
        self, scenario: Scenario, recorders: RecorderPool, opener: CountedTaps, witness: RecordedTaps, folder: Path
    ) -> None:
        self.scenario, self.recorders, self.opener = scenario, recorders, opener
        self.witness, self.folder = witness, folder
        self.facts: list[RecordingFact] = []
        recorders.listen(self.facts.append)

    async def begin(self) -> None:
        """Connect the encoder, and record its first frames."""
        ticket = await self.scenario.pool.open_feed(connection_id="f", source_id="source", is_redundant=False)
        self.feed = await FeedClient.open(ticket)
        await until(lambda: Connected(connection_id="f") in self.scenario.facts)
        await self.scenario.pool.open_tap("source", self.witness.accept)
        await until(lambda: self.witness.are_connected)
        self.recorders.start_recording(REQUEST)
        self.video, self.audio = video_units(OPTIONS), audio_units()
        started = RecordingStarted(recording_id=REQUEST.recording_id)
        await until(lambda: self.opener.opened > 0)
        while started not in self.facts:
            # Until the process is connected, the engine keeps the pictures since the keyframe for it.
            assert self.seen_pictures < GOP_FRAMES
            await self.send(1)
            await asyncio.sleep(0.1)

    async def send(self, frames: int) -> None:
        """Send pictures with their sound, and wait until the engine has received them."""
        wanted = self.seen_pictures + frames
        for due, unit in islice(self.video, frames):
            self.feed.send(unit)
            for _, sound in islice(self.audio, 2 if due % 0.1 < 0.034 else 1):
                self.feed.send(sound)
        await until(lambda: self.seen_pictures == wanted)

    @property
    def seen_pictures(self) -> int:
        """How many pictures the engine has received."""
        return sum(frame.kind is MediaKind.VIDEO for frame in self.witness.frames["0"])

    @property
    def media(self) -> Path:
        """The folder of the segments in the bucket."""
        return self.folder / REQUEST.bucket_name / REQUEST.prefix / "media" / "hls" / "high"

    @property
    def process_id(self) -> int:
        """Of the recorder process."""
        assert self.recorders.process_id is not None
        return self.recorders.process_id

    def recorded_pictures(self) -> int:
        """How many pictures are in the segments of the recording, which is complete."""
        playlist = read_playlist((self.media / "playlist.m3u8").read_text())
        assert playlist.is_complete
        return sum(len(samples((self.media / each.uri).read_bytes())[1]) for each in playlist.segments)


@pytest.fixture
async def encoder(tmp_path: Path) -> AsyncIterator[RecordedEncoder]:
    """An encoder of which a second is recorded. The process that records it is stopped."""
    async with contextlib.AsyncExitStack() as parts:
        scenario = await parts.enter_async_context(running_pool())
        witness = await parts.enter_async_context(recorded_taps())
        opener = CountedTaps(scenario.pool)
        recorders = RecorderPool(
            opener,
            storage=FolderStorage(path="."),
            folder=tmp_path / "recordings",
            spool_bytes=100_000_000,
            end_timeout_seconds=20,
            timeouts=WorkerTimeouts(max_missed_heartbeats=1_000),
        )
        parts.push_async_callback(recorders.stop)
        made = RecordedEncoder(scenario, recorders, opener, witness, tmp_path / "recordings")
        await made.begin()
        process_id = made.process_id
        os.kill(process_id, signal.SIGSTOP)
        try:
            await made.send(FRAMES_BEHIND)
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGCONT)


async def assert_everything_is_recorded(encoder: RecordedEncoder) -> None:
    """Let the process go on, and wait for the end of the recording."""
    os.kill(encoder.process_id, signal.SIGCONT)
    await until(lambda: any(isinstance(fact, RecordingEnded) for fact in encoder.facts))
    assert encoder.recorded_pictures() == encoder.seen_pictures


async def test_the_end_of_a_publisher_is_recorded(encoder: RecordedEncoder) -> None:
    encoder.scenario.pool.end_source(source_id="source")
    encoder.recorders.end_recording(REQUEST.recording_id)
    await assert_everything_is_recorded(encoder)


@pytest.mark.recording
async def test_the_end_of_a_source_that_goes_on_is_recorded(encoder: RecordedEncoder) -> None:
    """As that of a replica: the engine ends nothing by itself."""
    encoder.recorders.end_recording(REQUEST.recording_id)
    await assert_everything_is_recorded(encoder)


@pytest.mark.recording
async def test_a_server_that_stops_records_the_end(encoder: RecordedEncoder) -> None:
    os.kill(encoder.process_id, signal.SIGCONT)
    await encoder.recorders.stop()
    assert encoder.recorded_pictures() == encoder.seen_pictures


async def test_a_publisher_that_returns_is_recorded_behind_its_last_part(encoder: RecordedEncoder) -> None:
    encoder.recorders.end_part(REQUEST.recording_id)
    encoder.recorders.start_recording(REQUEST)
    os.kill(encoder.process_id, signal.SIGCONT)
    await until(lambda: encoder.opener.opened == 2)
    seen = encoder.seen_pictures
    await encoder.send(GOP_FRAMES)
    encoder.recorders.end_recording(REQUEST.recording_id)
    await until(lambda: any(isinstance(fact, RecordingEnded) for fact in encoder.facts))
    # The new part begins with the pictures since the last keyframe, which the last one has as well.
    assert encoder.recorded_pictures() > seen + GOP_FRAMES // 2


async def test_a_process_that_is_killed_leaves_the_same_duration_in_the_bucket_and_in_the_report(
    encoder: RecordedEncoder,
) -> None:
    os.kill(encoder.process_id, signal.SIGCONT)
    # The playlist is put behind the journal's record of a segment, and a segment before it.
    playlist = encoder.media / "playlist.m3u8"
    await until(lambda: playlist.exists() and "\n1.mp4\n" in playlist.read_text())
    os.kill(encoder.process_id, signal.SIGKILL)
    await until(lambda: any(isinstance(fact, RecordingFailed) for fact in encoder.facts))
    failed = next(fact for fact in encoder.facts if isinstance(fact, RecordingFailed))
    metadata = encoder.media.parents[2] / "events" / "recording-failed.json"
    await until(metadata.exists)
    document = msgspec.json.decode(metadata.read_bytes())
    assert document["recording_status"] == "RECORDING_ENDED_WITH_FAILURE"
    assert failed.duration_ms == document["media"]["hls"]["duration_ms"] >= 4_000
    # What the server has heard is durable: nothing is left.
    await until(lambda: not any((encoder.folder / SPOOL_NAME).iterdir()))
