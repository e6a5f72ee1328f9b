"""The recorder of a server with LiveKit."""

import asyncio

from stagebook.media.livekit.untapped_recorder import UntappedRecorder
from stagebook.media.recording.recording_port import RecordingFact, RecordingFailed, RecordingRequest
from stagebook.storage.object_store import StorageFault

REQUEST = RecordingRequest(
    recording_id="r",
    source_id="s",
    stage_arn="stage",
    session_id="session",
    participant_id="p",
    bucket_name="bucket",
    prefix="prefix",
    started_ms=0,
)


async def test_each_recording_fails_once_after_its_start() -> None:
    recorder, facts = UntappedRecorder(), list[RecordingFact]()

    def hear(fact: RecordingFact) -> None:
        facts.append(fact)

    recorder.listen(hear)
    assert await recorder.interrupted(["r"]) == {}
    recorder.prepare()
    recorder.start_recording(REQUEST)
    assert facts == [], "the caller has not noted it yet"
    await asyncio.sleep(0)
    recorder.end_part("r")
    recorder.end_recording("r")
    assert facts == [RecordingFailed(recording_id="r", fault=StorageFault.UNAVAILABLE, duration_ms=0)]
