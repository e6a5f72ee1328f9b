"""Recordings without media through the test tools: events, states, the clock, and each failure."""

from typing import Any, TypeAlias

import httpx
import pytest

from stagebook.stage.events import RECORDING_EVENT_NAMES, RecordingErrorCode
from stagebook.testing import RECORDING_ERRORS, RECORDING_EVENTS, StagebookServer, StageParticipant

Client: TypeAlias = Any


@pytest.fixture
def stage_arn(ivs: Client) -> str:
    storage = ivs.create_storage_configuration(name="shows", s3={"bucketName": "shows"})["storageConfiguration"]
    recording = {"storageConfigurationArn": storage["arn"], "recordingReconnectWindowSeconds": 60}
    arn: str = ivs.create_stage(name="show", autoParticipantRecordingConfiguration=recording)["stage"]["arn"]
    return arn


def participant_of(ivs: Client, ann: StageParticipant) -> Any:  # noqa: ANN401 - boto3's answer
    ids = {"stageArn": ann.stage_arn, "sessionId": ann.session_id, "participantId": ann.participant_id}
    return ivs.get_participant(**ids)["participant"]


def test_the_names_are_those_of_the_server() -> None:
    assert set(RECORDING_EVENTS) == {name.value for name in RECORDING_EVENT_NAMES}
    assert tuple(code.value for code in RecordingErrorCode) == RECORDING_ERRORS


def test_a_recording_lasts_as_long_as_the_clock_says(stagebook: StagebookServer, ivs: Client, stage_arn: str) -> None:
    stagebook.clock.freeze()
    ann = stagebook.participant(stage_arn, user_id="ann")
    assert [event.name for event in ann.publish()][-2:] == ["PUBLISH_STARTED", "RECORDING_STARTED"]
    assert participant_of(ivs, ann)["recordingState"] == "ACTIVE"
    stagebook.clock.advance(seconds=600)
    assert "RECORDING_ENDED" not in [event.name for event in ann.unpublish()]
    stagebook.clock.advance(seconds=61)
    ended = ann.events[-1]
    assert ended.name == "RECORDING_ENDED"
    assert ended.recording is not None
    assert ended.recording.duration_ms == 600_000
    shown = participant_of(ivs, ann)
    assert (shown["recordingState"], shown["recordingS3BucketName"]) == ("STOPPED", "shows")
    assert ended.recording.s3_prefix.startswith(shown["recordingS3Prefix"])


def metric(stagebook: StagebookServer, line: str) -> float:
    """Return the value of a metric of the server."""
    lines = httpx.get(f"{stagebook.url}/metrics").text.splitlines()
    return sum(float(each.rpartition(" ")[2]) for each in lines if each.startswith(f"{line} "))


def test_recordings_without_media_are_in_the_metrics(stagebook: StagebookServer, stage_arn: str) -> None:
    ended = "stagebook_recordings_ended_total"
    failed = 'stagebook_recordings_failed_total{error_code="AccessDeniedException"}'
    before = [metric(stagebook, name) for name in ("stagebook_recordings", ended, failed)]
    stagebook.participant(stage_arn, user_id="bob").fail_recording("AccessDeniedException")
    ann = stagebook.participant(stage_arn, user_id="ann")
    ann.publish()
    assert metric(stagebook, "stagebook_recordings") == before[0] + 1
    assert metric(stagebook, failed) == before[2] + 1
    ann.unpublish()
    stagebook.clock.advance(seconds=61)
    assert metric(stagebook, ended) == before[1] + 1


@pytest.mark.parametrize("code", RECORDING_ERRORS)
def test_each_failure_is_one_line(
    stagebook: StagebookServer,
    ivs: Client,
    stage_arn: str,
    code: Any,  # noqa: ANN401 - a parameter
) -> None:
    ann = stagebook.participant(stage_arn, user_id="ann")
    failed = ann.fail_recording(code)[-1]
    assert (failed.name, participant_of(ivs, ann)["recordingState"]) == ("RECORDING_START_FAILED", "FAILED")
    assert failed.recording is not None
    assert failed.recording.error_code == code
    if code != "ValidationException":
        bob = stagebook.participant(stage_arn, user_id="bob")
        assert bob.fail_recording(code, at="end")[-1].name == "RECORDING_END_FAILED"
