"""The recorder process and its pool, with engines that are scripted: what becomes of recordings and of the process."""

import os
import pwd
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaRefusedError, RefusalReason
from stagebook.media.recording.participant_recorder import ParticipantRecorder
from stagebook.media.recording.processes.recorder_messages import SPOOL_NAME
from stagebook.media.recording.processes.recorder_pool import RecorderPool
from stagebook.media.recording.recording_port import (
    RecordingEnded,
    RecordingFact,
    RecordingFailed,
    RecordingRequest,
)
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_timeouts import WorkerTimeouts
from stagebook.storage.object_store import StorageFault
from stagebook.storage.spool.spool_folder import UploadTarget
from stagebook.storage.spool.upload_spool import UploadSpool
from stagebook.storage.storage_settings import FolderStorage
from tests.media.recording.hls_rules import read_playlist
from tests.media.recording.recorded_publisher import START_MS, make_request
from tests.media.recording.tapped_media import interleaved, pictures, sounds
from tests.media.rtc.engine.running_pool import until
from tests.process_state import is_alive
from tests.storage.gated_store import GatedStore

DESCRIPTION = SourceDescription(plan=None)
FAST_RESTART = WorkerTimeouts(restart_delay_seconds=0.01)


class ScriptedEngines:
    """Opens taps that no engine connects to, or refuses to."""

    def __init__(self) -> None:
        self.refusals: list[RefusalReason] = []
        self.attempts = 0
        self.tickets: list[FeedTicket] = []
        self.feed_ids: list[str | None] = []

    async def open_tap(
        self,
        source_id: str,
        accept: Callable[[SourceDescription], Awaitable[FeedTicket]],
        *,
        feed_id: str | None = None,
    ) -> None:
        """As EnginePool.open_tap."""
        self.attempts += 1
        self.feed_ids.append(feed_id)
        if self.refusals:
            raise MediaRefusedError(reason=self.refusals.pop(0), detail=source_id)
        self.tickets.append(await accept(DESCRIPTION))


class RunningPool:
    """A pool, its engines and its facts."""

    def __init__(self, folder: Path, user: ProcessUser | None) -> None:
        self.engines = ScriptedEngines()
        self.facts: list[RecordingFact] = []
        self.folder = folder / "recordings"
        self.pool = RecorderPool(
            self.engines,
            storage=FolderStorage(path="."),
            folder=self.folder,
            spool_bytes=10_000_000,
            end_timeout_seconds=20,
            user=user,
            timeouts=FAST_RESTART,
        )
        self.pool.listen(self.facts.append)


@asynccontextmanager
async def running_pool(
    folder: Path, *, user: ProcessUser | None = None, notes_former: bool = False
) -> AsyncIterator[RunningPool]:
    """Run a pool. With `notes_former`, that of a node."""
    running = RunningPool(folder, user)
    if notes_former:
        await running.pool.note_former()
    await running.pool.start()
    try:
        yield running
    finally:
        await running.pool.stop()


def named(recording_id: str) -> RecordingRequest:
    """Return the request of a recording."""
    return msgspec.structs.replace(make_request(), recording_id=recording_id)


async def leave_interrupted(folder: Path) -> None:
    """Leave in the spool what a killed process leaves of a recording of three seconds, whose store was down."""
    store = GatedStore(folder / "nowhere")
    store.gate.clear()
    spool = UploadSpool(folder / "recordings" / SPOOL_NAME, store, max_bytes=10_000_000)
    request = make_request()
    upload = spool.open("left", UploadTarget(bucket_name=request.bucket_name, prefix=request.prefix))
    now_ms = START_MS
    recorder = ParticipantRecorder(
        request=request,
        objects=upload,
        journal=upload.append_journal,
        request_keyframe=lambda: None,
        now_ms=lambda: now_ms,
    )
    for frame in interleaved(pictures(5), sounds(5)):
        now_ms = START_MS + frame.time_us // 1_000
        recorder.receive(frame)
    await spool.stop()


def process_of(running: RunningPool) -> int | None:
    """Return the process id of the recorder process."""
    return running.pool.process_id


def owner_of(path: Path) -> int:
    """Return the user that a file or process belongs to."""
    return path.stat().st_uid


def completed(folder: Path) -> bool:
    """Whether the recording of `leave_interrupted` is complete, and its spool is empty."""
    return (stored(folder) / "events" / "recording-failed.json").exists() and not any(
        (folder / "recordings" / SPOOL_NAME).iterdir()
    )


def stored(folder: Path) -> Path:
    """Return the folder of the recording of `leave_interrupted`."""
    request = make_request()
    return folder / "recordings" / request.bucket_name / request.prefix


async def test_the_process_starts_before_the_first_recording(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as running:
        running.pool.prepare()
        await until(lambda: process_of(running) is not None)
        process_id = process_of(running)
        running.pool.prepare()
        running.pool.start_recording(named("one"))
        await until(lambda: len(running.engines.tickets) == 1)
        assert process_of(running) == process_id
    # This folder has been recorded to: the next run of the server is ready from its start.
    async with running_pool(tmp_path) as running:
        await until(lambda: process_of(running) is not None)


async def test_the_process_starts_with_the_first_recording(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as running:
        assert process_of(running) is None
        running.pool.start_recording(named("one"))
        await until(lambda: len(running.engines.tickets) == 1)
        process_id = process_of(running)
        running.pool.start_recording(named("two"))
        await until(lambda: len(running.engines.tickets) == 2)
        assert process_of(running) == process_id
        for name in ("one", "two"):
            running.pool.end_recording(name)
        await until(lambda: len(running.facts) >= 2)
        ends = {fact.recording_id for fact in running.facts if isinstance(fact, RecordingEnded)}
        assert ends == {"one", "two"}
    assert process_id is not None
    assert not is_alive(process_id)


async def test_recordings_of_a_killed_process_have_failed_and_the_next_one_records(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as running:
        running.pool.start_recording(named("one"))
        await until(lambda: len(running.engines.tickets) == 1)
        first = running.pool.process_id
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: bool(running.facts))
        failed = RecordingFailed(recording_id="one", fault=StorageFault.UNAVAILABLE, duration_ms=0)
        assert running.facts == [failed]
        running.pool.end_recording("one")
        running.pool.start_recording(named("two"))
        await until(lambda: len(running.engines.tickets) == 2)
        assert running.pool.process_id not in {None, first}
        assert running.facts == [failed]


async def test_what_an_earlier_process_left_is_completed_at_the_start(tmp_path: Path) -> None:
    await leave_interrupted(tmp_path)
    async with running_pool(tmp_path):
        await until(lambda: completed(tmp_path))
    folder = stored(tmp_path) / "media" / "hls" / "high"
    playlist = read_playlist((folder / "playlist.m3u8").read_text())
    assert playlist.is_complete
    assert playlist.segments
    assert all((folder / segment.uri).exists() for segment in playlist.segments)


async def test_what_an_earlier_run_recorded_is_known_when_its_spool_is_completed(tmp_path: Path) -> None:
    """A node recovers an account when it takes it: its recorder runs, and holds the lock of the spool."""
    await leave_interrupted(tmp_path)
    async with running_pool(tmp_path, notes_former=True) as running:
        await until(lambda: completed(tmp_path))
        outcomes = await running.pool.interrupted(["left", "of another node"])
    assert outcomes.keys() == {"left"}
    assert isinstance(outcomes["left"], RecordingFailed)
    assert outcomes["left"].duration_ms > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as another user")
async def test_a_process_of_another_user_writes_below_a_private_data_folder(tmp_path: Path) -> None:
    account = pwd.getpwnam("nobody")
    await leave_interrupted(tmp_path)
    async with running_pool(tmp_path, user=ProcessUser(user_id=account.pw_uid, group_id=account.pw_gid)) as running:
        await until(lambda: completed(tmp_path))
        owner = owner_of(Path(f"/proc/{running.pool.process_id}"))
    assert owner == account.pw_uid
    # No other user may enter the folder of the test (pytest makes it so), which is that of the data.
    assert {owner_of(path) for path in (tmp_path / "recordings").rglob("*")} == {account.pw_uid}


async def test_a_source_that_cannot_be_tapped_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagebook.media.recording.processes.recorder_pool.TAP_DELAY_SECONDS", 0.001)
    async with running_pool(tmp_path) as running:
        running.engines.refusals = [RefusalReason.BUSY, RefusalReason.ENGINE_LOST]
        running.pool.start_recording(named("one"))
        await until(lambda: len(running.engines.tickets) == 1)
        assert running.facts == []
        running.engines.refusals = [RefusalReason.BUSY] * 5
        running.pool.start_recording(named("two"))
        await until(lambda: bool(running.facts))
        assert running.facts == [RecordingFailed(recording_id="two", fault=StorageFault.UNAVAILABLE, duration_ms=0)]


async def test_a_source_that_is_gone_is_left_to_the_manager(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as running:
        running.engines.refusals = [RefusalReason.UNKNOWN_SOURCE]
        running.pool.start_recording(named("one"))
        await until(lambda: running.engines.attempts == 1)
        running.pool.end_part("one")
        running.pool.start_recording(named("one"))
        await until(lambda: len(running.engines.tickets) == 1)
        running.pool.end_recording("one")
        await until(lambda: bool(running.facts))
        assert running.facts[-1] == RecordingEnded(recording_id="one", duration_ms=0)


async def test_ends_and_failures_are_counted(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as running:
        for name in ("one", "two", "three"):
            running.pool.start_recording(named(name))
        await until(lambda: len(running.engines.tickets) == 3)
        assert running.pool.recording_count == 3
        running.pool.end_recording("one")
        await until(lambda: len(running.facts) == 2)
        process_id = running.pool.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
        await until(lambda: running.pool.recording_count == 0)
        assert running.pool.counts.ended == 1
        failed = {fault: count for fault, count in running.pool.counts.failed.items() if count}
        assert failed == {StorageFault.UNAVAILABLE: 2}


async def test_the_totals_of_a_lost_process_are_continued(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as running:
        running.pool.start_recording(named("one"))
        await until(lambda: running.pool.worker is not None and running.pool.worker.statistics.cpu_seconds > 0)
        worker = running.pool.worker
        assert worker is not None
        assert worker.process_id is not None
        os.kill(worker.process_id, signal.SIGKILL)
        await until(lambda: worker.starts == 2)
        assert worker.losses == 1
        used = worker.statistics.cpu_seconds
        assert used > 0
        await until(lambda: worker.statistics.cpu_seconds > used)


async def test_a_redundant_stream_is_tapped_by_itself_also_after_a_return(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as running:
        running.pool.start_recording(msgspec.structs.replace(named("one"), connection_id="first"))
        await until(lambda: len(running.engines.tickets) == 1)
        running.pool.end_part("one")
        running.pool.start_recording(msgspec.structs.replace(named("one"), connection_id="second"))
        await until(lambda: len(running.engines.tickets) == 2)
        running.pool.start_recording(named("two"))
        await until(lambda: len(running.engines.tickets) == 3)
    assert running.engines.feed_ids == ["first", "second", None]
