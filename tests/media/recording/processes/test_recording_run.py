"""One recording in the recorder process: what is reported, and what its store has then."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec
import pytest

from stagebook.media.recording.processes.recording_run import RecordingRun
from stagebook.media.recording.processes.upload_recovery import recover_uploads
from stagebook.media.recording.recording_port import (
    RecordingEnded,
    RecordingFact,
    RecordingFailed,
    RecordingStarted,
)
from stagebook.media.tap.tapped_frame import TappedFrame
from stagebook.storage.object_store import StorageFault
from stagebook.storage.spool.spool_folder import UploadTarget
from stagebook.storage.spool.upload_spool import UploadSpool
from tests.media.recording.hls_rules import read_playlist
from tests.media.recording.recorded_publisher import START_MS, make_request
from tests.media.recording.tapped_media import interleaved, pictures, sounds, vp8_picture
from tests.storage.gated_store import GatedStore, fill_disk, until

REQUEST = make_request()
PREFIX = f"bucket/{REQUEST.prefix}"
DURATION_MS = 5_000
"""Of five seconds of media."""


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr("stagebook.storage.spool.upload.FIRST_DELAY_SECONDS", 0.001)
    monkeypatch.setattr("stagebook.storage.spool.upload.MAX_DELAY_SECONDS", 0.005)


class Recording:
    """A run with its spool and its store."""

    def __init__(self, folder: Path, *, spool_bytes: int = 10_000_000) -> None:
        self.folder = folder
        self.store = GatedStore(folder / "store")
        self.facts: list[RecordingFact] = []
        self.spool_bytes = spool_bytes
        self.open()

    def open(self) -> None:
        """Begin a recording with a new spool."""
        self.spool = UploadSpool(self.folder / "spool", self.store, max_bytes=self.spool_bytes)

    def run(self, *, end_timeout_seconds: float = 20.0) -> RecordingRun:
        """Return a recording that has begun."""
        self.now_ms = START_MS
        target = UploadTarget(bucket_name=REQUEST.bucket_name, prefix=REQUEST.prefix)
        self.upload = self.spool.open("one", target)
        return RecordingRun(
            REQUEST,
            spool=self.spool,
            upload=self.upload,
            request_keyframe=lambda: None,
            now_ms=lambda: self.now_ms,
            report=self.facts.append,
            end_timeout_seconds=end_timeout_seconds,
        )

    def feed(self, run: RecordingRun, frames: Iterable[TappedFrame]) -> None:
        """Feed frames at their times."""
        for frame in frames:
            self.now_ms = START_MS + frame.time_us // 1_000
            run.receive(frame)

    def stored(self, name: str) -> bytes:
        """Return an object of the recording."""
        return (self.folder / "store" / PREFIX / name).read_bytes()

    def has(self, name: str) -> bool:
        """Whether the store has an object of the recording."""
        return (self.folder / "store" / PREFIX / name).exists()

    def status(self, name: str) -> str:
        """Return the status in a metadata object."""
        document = msgspec.json.decode(self.stored(f"events/{name}.json"), type=dict[str, object])
        return str(document["recording_status"])


@pytest.fixture
async def recording(tmp_path: Path) -> AsyncIterator[Recording]:
    """A recording whose spool is stopped at the end."""
    made = Recording(tmp_path)
    yield made
    await made.spool.stop()


def media(seconds: float = 5.0) -> list[TappedFrame]:
    """Return sound and pictures."""
    return interleaved(pictures(seconds), sounds(seconds))


async def test_a_recording_is_started_with_its_first_object_and_ended_with_its_last(recording: Recording) -> None:
    run = recording.run()
    run.tick()
    assert recording.facts == []
    recording.feed(run, media())
    await until(lambda: recording.upload.has_stored)
    run.tick()
    assert recording.facts == [RecordingStarted(recording_id="recording")]
    run.end()
    await run.finished()
    assert recording.facts[1:] == [RecordingEnded(recording_id="recording", duration_ms=DURATION_MS)]
    assert recording.status("recording-ended") == "RECORDING_ENDED"
    playlist = read_playlist(recording.stored("media/hls/high/playlist.m3u8").decode())
    assert playlist.is_complete
    assert all(recording.has(f"media/hls/high/{segment.uri}") for segment in playlist.segments)
    # The journal is kept until the server says that the outcome is durable.
    assert (recording.folder / "spool" / "one" / "journal").exists()
    recording.spool.settle("one")
    await until(lambda: not any((recording.folder / "spool").iterdir()))


@pytest.mark.parametrize("fault", [StorageFault.BUCKET_NOT_FOUND, StorageFault.ACCESS_DENIED])
async def test_a_bucket_that_is_missing_or_closed_fails_the_start(recording: Recording, fault: StorageFault) -> None:
    recording.store.fault = fault
    run = recording.run()
    await until(lambda: bool(recording.facts))
    assert recording.facts == [RecordingFailed(recording_id="recording", fault=fault, duration_ms=0)]
    run.receive(media()[0])
    run.end()
    await run.finished()
    assert len(recording.facts) == 1


async def test_a_bucket_that_is_closed_at_the_end_fails_the_end(recording: Recording) -> None:
    run = recording.run(end_timeout_seconds=1_000)
    recording.feed(run, media())
    await recording.upload.drain(timeout_seconds=20)
    run.tick()
    recording.store.fault = StorageFault.ACCESS_DENIED
    run.end()
    await run.finished()
    failed = RecordingFailed(recording_id="recording", fault=StorageFault.ACCESS_DENIED, duration_ms=DURATION_MS)
    assert recording.facts == [RecordingStarted(recording_id="recording"), failed]
    # What waits is stored when the bucket is open again.
    recording.store.fault = None
    recording.spool.settle("one")
    await until(lambda: not any((recording.folder / "spool").iterdir()))
    assert read_playlist(recording.stored("media/hls/high/playlist.m3u8").decode()).is_complete


async def test_a_store_that_hangs_does_not_hold_up_the_end(recording: Recording) -> None:
    run = recording.run(end_timeout_seconds=0.05)
    recording.feed(run, media())
    recording.store.gate.clear()
    run.end()
    await run.finished()
    assert recording.facts == [
        RecordingFailed(recording_id="recording", fault=StorageFault.UNAVAILABLE, duration_ms=DURATION_MS)
    ]
    # The bucket says the same, when it has all.
    recording.store.gate.set()
    recording.spool.settle("one")
    await until(lambda: not any((recording.folder / "spool").iterdir()))
    assert recording.status("recording-failed") == "RECORDING_ENDED_WITH_FAILURE"
    assert not recording.has("events/recording-ended.json")


@pytest.mark.parametrize("lost", [1, 2])
async def test_after_a_full_disk_the_playlist_names_stored_segments_only(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """A segment in the middle is lost, or the last one, when the recording has ended already."""
    fill_disk(monkeypatch, f"high/{lost}.mp4")
    run = recording.run()
    recording.feed(run, media(6))
    run.end()
    await run.finished()
    (failed,) = [fact for fact in recording.facts if isinstance(fact, RecordingFailed)]
    assert (failed.fault, failed.duration_ms) == (StorageFault.UNAVAILABLE, lost * 2_000)
    await recording.upload.drain(timeout_seconds=20)
    playlist = read_playlist(recording.stored("media/hls/high/playlist.m3u8").decode())
    assert playlist.is_complete
    assert [segment.uri for segment in playlist.segments] == [f"{number}.mp4" for number in range(lost)]
    assert all(recording.has(f"media/hls/high/{segment.uri}") for segment in playlist.segments)
    assert recording.status("recording-failed") == "RECORDING_ENDED_WITH_FAILURE"
    assert not recording.has("events/recording-ended.json")


async def test_vp8_is_told_as_unsupported(recording: Recording) -> None:
    run = recording.run()
    run.receive(vp8_picture())
    await run.finished()
    assert recording.facts == [RecordingFailed(recording_id="recording", fault=None, duration_ms=0)]
    await until(lambda: recording.has("events/recording-failed.json"))
    assert recording.status("recording-failed") == "RECORDING_START_FAILED"


async def test_a_full_spool_fails_the_recording_and_completes_it(tmp_path: Path) -> None:
    recording = Recording(tmp_path, spool_bytes=20_000)
    recording.store.gate.clear()
    run = recording.run()
    recording.feed(run, media(20.0))
    await until(lambda: run.is_over)
    await run.finished()
    [failed] = recording.facts
    assert isinstance(failed, RecordingFailed)
    assert failed.fault is StorageFault.UNAVAILABLE
    recording.store.gate.set()
    recording.spool.settle("one")
    await until(lambda: not any((tmp_path / "spool").iterdir()))
    playlist = read_playlist(recording.stored("media/hls/high/playlist.m3u8").decode())
    assert playlist.is_complete
    assert all(recording.has(f"media/hls/high/{segment.uri}") for segment in playlist.segments)
    assert recording.status("recording-failed") == "RECORDING_ENDED_WITH_FAILURE"
    await recording.spool.stop()


async def test_an_interrupted_recording_is_completed_by_the_next_process(recording: Recording) -> None:
    run = recording.run()
    recording.feed(run, media())
    await recording.upload.drain(timeout_seconds=20)
    assert not read_playlist(recording.stored("media/hls/high/playlist.m3u8").decode()).is_complete
    await recording.spool.stop()
    recording.open()
    await recover_uploads(recording.spool, ended_ms=START_MS + 10_000)
    await until(lambda: not any((recording.folder / "spool").iterdir()))
    playlist = read_playlist(recording.stored("media/hls/high/playlist.m3u8").decode())
    assert playlist.is_complete
    assert all(recording.has(f"media/hls/high/{segment.uri}") for segment in playlist.segments)
    assert recording.status("recording-failed") == "RECORDING_ENDED_WITH_FAILURE"


async def test_a_damaged_journal_does_not_keep_the_objects_from_the_store(recording: Recording) -> None:
    recording.store.gate.clear()
    run = recording.run()
    recording.feed(run, media())
    await recording.spool.stop()
    (recording.folder / "spool" / "one" / "journal").write_bytes(b"\xff" * 100)
    recording.store.gate.set()
    recording.open()
    await recover_uploads(recording.spool, ended_ms=START_MS)
    await until(lambda: not any((recording.folder / "spool").iterdir()))
    assert recording.has("events/recording-started.json")


async def test_an_error_of_the_recorder_fails_this_recording_alone(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recording.run()
    recording.feed(run, media())

    def broken(_self: object, _frame: TappedFrame) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("stagebook.media.recording.participant_recorder.ParticipantRecorder.receive", broken)
    run.receive(media()[0])
    await run.finished()
    failed = recording.facts[-1]
    assert isinstance(failed, RecordingFailed)
    assert (failed.fault, failed.duration_ms) == (StorageFault.UNAVAILABLE, DURATION_MS)
    await asyncio.wait_for(recording.upload.wait_empty(), 20)
