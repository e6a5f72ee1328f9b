"""Recordings without media: what is reported, when, and what is written."""

import asyncio
import json
from typing import Any

import pytest

from stagebook.media.recording.recording_port import (
    RecordingEnded,
    RecordingFact,
    RecordingFailed,
    RecordingRequest,
    RecordingStarted,
)
from stagebook.media.simulated.mixed_recorder import MixedRecorder
from stagebook.media.simulated.simulated_recorder import SimulatedRecorder
from stagebook.storage.object_store import StorageError, StorageFault

STAGE_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
PREFIX = "abcdABCDefgh/st-1/p/2024-01-01T12-00-55Z"


class Bucket:
    """An object store in memory. `fault` is raised by each write while it is set."""

    def __init__(self) -> None:
        self.fault: StorageFault | None = None
        self.objects: dict[str, Any] = {}

    async def check_bucket(self, bucket_name: str) -> None:
        """Nothing to check."""

    async def put(self, bucket_name: str, key: str, body: bytes, *, content_type: str) -> None:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise StorageError(fault=self.fault, detail="no")
        assert content_type == "application/json"
        self.objects[f"{bucket_name}/{key}"] = json.loads(body)


class Recording:
    """A recorder with a clock that the test moves, and what it has reported."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.bucket = Bucket()
        self.recorder = SimulatedRecorder(store=self.bucket, now_ms=lambda: self.now_ms)
        self.facts: list[RecordingFact] = []
        self.recorder.listen(self.facts.append)

    def request(self, recording_id: str = "r", source_id: str = "s") -> RecordingRequest:
        return RecordingRequest(
            recording_id=recording_id,
            source_id=source_id,
            stage_arn=STAGE_ARN,
            session_id="st-1",
            participant_id="p",
            bucket_name="shows",
            prefix=PREFIX,
            started_ms=self.now_ms,
        )

    def written(self, name: str) -> Any:  # noqa: ANN401 - JSON
        return self.bucket.objects[f"shows/{PREFIX}/events/recording-{name}.json"]


@pytest.fixture
def recording() -> Recording:
    return Recording()


async def test_a_recording_is_as_long_as_its_parts_by_the_clock_of_the_test(recording: Recording) -> None:
    recorder = recording.recorder
    recorder.start_recording(recording.request())
    recording.now_ms += 60_000
    recorder.end_part("r")
    recording.now_ms += 30_000  # within the reconnect window: not recorded
    recorder.start_recording(recording.request())
    recording.now_ms += 5_000
    recorder.end_recording("r")
    assert await recorder.settled()
    assert recording.facts == [RecordingStarted(recording_id="r"), RecordingEnded(recording_id="r", duration_ms=65_000)]
    assert recording.written("started")["recording_status"] == "RECORDING_STARTED"
    ended = recording.written("ended")
    assert (ended["recording_status"], ended["media"]["hls"]["duration_ms"]) == ("RECORDING_ENDED", 65_000)
    assert not recorder.has("r")
    assert not await recorder.settled()


@pytest.mark.parametrize("fault", [None, *StorageFault])
async def test_a_start_fails_as_a_test_asks(recording: Recording, fault: StorageFault | None) -> None:
    with recording.recorder.failing_start(STAGE_ARN, "p", fault):
        recording.recorder.start_recording(recording.request())
    recording.recorder.start_recording(recording.request("other"))
    await recording.recorder.settled()
    assert recording.facts == [
        RecordingFailed(recording_id="r", fault=fault, duration_ms=0),
        RecordingStarted(recording_id="other"),
    ]


async def test_a_running_recording_fails_as_a_test_asks(recording: Recording) -> None:
    recorder = recording.recorder
    assert not recorder.fail_running(STAGE_ARN, "p", StorageFault.UNAVAILABLE)
    recorder.start_recording(recording.request())
    recording.now_ms += 1_000
    assert recorder.records(STAGE_ARN, "p")
    assert recorder.fail_running(STAGE_ARN, "p", StorageFault.UNAVAILABLE)
    await recorder.settled()
    failed = RecordingFailed(recording_id="r", fault=StorageFault.UNAVAILABLE, duration_ms=1_000)
    assert recording.facts == [RecordingStarted(recording_id="r"), failed]
    assert recording.written("failed")["recording_status"] == "RECORDING_ENDED_WITH_FAILURE"
    recorder.end_recording("r")
    assert not await recorder.settled()


async def test_what_the_store_refuses_is_a_failure(recording: Recording) -> None:
    recorder, bucket = recording.recorder, recording.bucket
    recorder.start_recording(recording.request("late"))
    await recorder.settled()
    bucket.fault = StorageFault.BUCKET_NOT_FOUND
    recorder.start_recording(recording.request())
    recorder.end_recording("late")
    await recorder.settled()
    assert recording.facts[1:] == [
        RecordingFailed(recording_id="r", fault=StorageFault.BUCKET_NOT_FOUND, duration_ms=0),
        RecordingFailed(recording_id="late", fault=StorageFault.BUCKET_NOT_FOUND, duration_ms=0),
    ]
    assert not recorder.has("r")


async def test_a_start_that_fails_after_the_end_is_reported_once(recording: Recording) -> None:
    recording.bucket.fault = StorageFault.ACCESS_DENIED
    recording.recorder.start_recording(recording.request())
    recording.recorder.end_recording("r")
    await recording.recorder.settled()
    assert recording.facts == [RecordingFailed(recording_id="r", fault=StorageFault.ACCESS_DENIED, duration_ms=0)]


async def test_a_source_with_media_is_recorded_by_the_real_engine(recording: Recording) -> None:
    real = Recording()
    mixed = MixedRecorder(real.recorder, recording.recorder, is_simulated=lambda source_id: source_id == "s")
    facts: list[RecordingFact] = []
    mixed.listen(facts.append)
    mixed.start_recording(recording.request())
    mixed.start_recording(recording.request("camera", source_id="webrtc"))
    assert (recording.recorder.has("r"), real.recorder.has("camera")) == (True, True)
    for recording_id in ("r", "camera"):
        mixed.end_part(recording_id)
        mixed.end_recording(recording_id)
    await recording.recorder.settled()
    await real.recorder.settled()
    assert {fact.recording_id for fact in facts} == {"r", "camera"}
    assert len(facts) == 4
