"""The server and its processes are killed while a recording ends: the book and the bucket say the same afterwards."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stagebook.data_folder.secrets import DataFolder
from stagebook.history.history_files import HistoryFiles
from stagebook.stage.events import EventName
from tests.e2e.aws.all_operations import wait_for_composition
from tests.e2e.recording.recorded_stage import RecordedStage, segments_of
from tests.e2e.recording.test_composition_operations import Composed
from tests.e2e.server import RunningServer, start_server

pytestmark = [pytest.mark.recording, pytest.mark.timeout(600)]
OUTCOMES = {"recording-ended": "STOPPED", "recording-failed": "FAILED"}
STATUSES = {"recording-ended": "RECORDING_ENDED", "recording-failed": "RECORDING_ENDED_WITH_FAILURE"}


def outcome_in(bucket: Path) -> str:
    """Wait for the metadata of the end, and return the state that the book must have."""
    deadline = time.monotonic() + 60
    while not (found := [path for path in bucket.rglob("events/*.json") if path.stem in OUTCOMES]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    [path] = found
    assert json.loads(path.read_bytes())["recording_status"] == STATUSES[path.stem]
    return OUTCOMES[path.stem]


def kill_all(server: RunningServer) -> None:
    """Kill the server and all of its processes."""
    children = list(children_of(server.process.pid))
    server.kill()
    for process_id in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)


def children_of(process_id: int) -> Iterator[int]:
    """Yield the process ids of the children of a process."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == process_id:
                yield int(path.parent.name)


@pytest.mark.parametrize(("delay_seconds", "kill"), [(0.0, RunningServer.kill), (0.4, kill_all)], ids=["server", "all"])
def test_a_composition_that_is_killed_at_its_end(
    tmp_path: Path, delay_seconds: float, kill: Callable[[RunningServer], None]
) -> None:
    server = start_server(tmp_path / "data")
    try:
        on = Composed(server)
        arn = on.start()["arn"]
        wait_for_composition(on.ivs, arn, state="ACTIVE")
        bucket = tmp_path / "data" / "recordings" / "bucket"
        while segments_of(bucket) < 1:
            time.sleep(0.05)
        on.ivs.stop_composition(arn=arn)
        time.sleep(delay_seconds)
        kill(server)
        server = start_server(tmp_path / "data")
        composition = server.client().get_composition(arn=arn)["composition"]
        assert outcome_in(bucket) == composition["state"] == composition["destinations"][0]["state"]
    finally:
        server.stop()


async def test_a_recording_that_is_killed_at_its_end(tmp_path: Path) -> None:
    stage = await asyncio.to_thread(RecordedStage, tmp_path)
    try:
        publisher = await stage.publish()
        (found,) = await stage.until_states("ACTIVE")
        folder = stage.stored_folder / found["recordingS3Prefix"]
        await stage.until(lambda: segments_of(folder) >= 1)
        await publisher.stop()
        await asyncio.sleep(0.1)
        await asyncio.to_thread(kill_all, stage.server)
        await asyncio.to_thread(stage.restart)
        (found,) = await asyncio.to_thread(stage.participants)
        assert await asyncio.to_thread(outcome_in, folder) == found["recordingState"]
        [metadata] = [path for path in folder.rglob("events/*.json") if path.stem in OUTCOMES]
        duration_ms = json.loads(metadata.read_bytes())["media"]["hls"]["duration_ms"]
        assert duration_ms > 0
        assert await asyncio.to_thread(recorded_duration_ms, stage) == duration_ms
    finally:
        await asyncio.to_thread(stage.server.stop)


def recorded_duration_ms(stage: RecordedStage) -> int | None:
    """Return the duration in the event of the end."""
    [session] = stage.ivs.list_stage_sessions(stageArn=stage.stage_arn)["stageSessions"]
    [participant] = stage.participants()
    with HistoryFiles(DataFolder(stage.folder / "data").book_path) as files:
        events = files.book.list_events(stage.stage_arn, session["sessionId"], participant["participantId"])
    names = (EventName.RECORDING_ENDED, EventName.RECORDING_END_FAILED)
    [recording] = [each.event.recording for each in events if each.event.name in names]
    return None if recording is None else recording.duration_ms
