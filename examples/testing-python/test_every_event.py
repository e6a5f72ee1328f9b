"""Every event and every error code of Amazon IVS Real-Time, each in one line."""

from collections.abc import Callable
from typing import Any

import pytest

from stagebook.testing import ERROR_CODES, EVENT_NAMES, StagebookServer, StageEncoder, StageParticipant
from stagebook.testing.codes import ErrorCodeText

EVENTS: dict[str, Callable[[StageParticipant, StageParticipant], object]] = {
    "JOINED": lambda ann, _: ann.join(),
    "LEFT": lambda ann, _: (ann.join(), ann.leave()),
    "PUBLISH_STARTED": lambda ann, _: ann.publish(),
    "PUBLISH_STOPPED": lambda ann, _: (ann.publish(), ann.unpublish()),
    "SUBSCRIBE_STARTED": lambda ann, bob: ann.subscribe(bob),
    "SUBSCRIBE_STOPPED": lambda ann, bob: (ann.subscribe(bob), ann.unsubscribe(bob)),
    "PUBLISH_ERROR": lambda ann, _: ann.fail_publish("QUOTA_EXCEEDED"),
    "SUBSCRIBE_ERROR": lambda ann, _: ann.fail_subscribe("PUBLISHER_NOT_FOUND"),
    "JOIN_ERROR": lambda ann, _: ann.fail_join("QUOTA_EXCEEDED"),
    "TOKEN_EXCHANGED": lambda ann, _: (ann.join(), ann.exchange_token(capabilities=["SUBSCRIBE"])),
}
REPLICATION = ("REPLICATION_STARTED", "REPLICATION_STOPPED")

OF_ENCODERS: dict[ErrorCodeText, Callable[[StageEncoder], object]] = {
    "INVALID_STREAM_KEY": lambda obs: obs.fail_publish("INVALID_STREAM_KEY"),
    "INVALID_PROTOCOL": lambda obs: obs.fail_publish("INVALID_PROTOCOL"),
    "REUSE_OF_STREAM_KEY": lambda obs: obs.fail_publish("REUSE_OF_STREAM_KEY"),
    "INVALID_INPUT": lambda obs: obs.fail_publish("INVALID_INPUT"),
}
OF_PARTICIPANTS: dict[ErrorCodeText, Callable[[StageParticipant], object]] = {
    "INSUFFICIENT_CAPABILITIES": lambda ann: ann.fail_publish("INSUFFICIENT_CAPABILITIES"),
    "QUOTA_EXCEEDED": lambda ann: ann.fail_publish("QUOTA_EXCEEDED"),
    "PUBLISHER_NOT_FOUND": lambda ann: ann.fail_subscribe("PUBLISHER_NOT_FOUND"),
    "BITRATE_EXCEEDED": lambda ann: ann.fail_publish("BITRATE_EXCEEDED"),
    "RESOLUTION_EXCEEDED": lambda ann: ann.fail_publish("RESOLUTION_EXCEEDED"),
    "STREAM_DURATION_EXCEEDED": lambda ann: ann.fail_publish("STREAM_DURATION_EXCEEDED"),
    "INVALID_AUDIO_CODEC": lambda ann: ann.fail_publish("INVALID_AUDIO_CODEC"),
    "INVALID_VIDEO_CODEC": lambda ann: ann.fail_publish("INVALID_VIDEO_CODEC"),
    "B_FRAME_PRESENT": lambda ann: ann.fail_publish("B_FRAME_PRESENT"),
    "INTERNAL_SERVER_EXCEPTION": lambda ann: ann.fail_publish("INTERNAL_SERVER_EXCEPTION"),
}


@pytest.fixture
def stage_arn(ivs: Any) -> str:  # noqa: ANN401 - boto3 makes its clients at run time
    arn: str = ivs.create_stage(name="show")["stage"]["arn"]
    return arn


@pytest.mark.parametrize("name", EVENTS)
def test_event(stagebook: StagebookServer, stage_arn: str, name: str) -> None:
    ann, bob = stagebook.participant(stage_arn), stagebook.participant(stage_arn)
    bob.publish()
    EVENTS[name](ann, bob)
    assert name in [event.name for event in ann.events]


def test_replication(stagebook: StagebookServer, ivs: Any, stage_arn: str) -> None:  # noqa: ANN401 - as above
    ann = stagebook.participant(stage_arn)
    ann.publish()
    other_arn = ivs.create_stage(name="other")["stage"]["arn"]
    ends = {"sourceStageArn": stage_arn, "destinationStageArn": other_arn, "participantId": ann.participant_id}
    ivs.start_participant_replication(**ends)
    ivs.stop_participant_replication(**ends)
    assert [event.name for event in ann.events if event.name.startswith("REPLICATION")] == list(REPLICATION)


@pytest.mark.parametrize("code", OF_PARTICIPANTS)
def test_error_code(stagebook: StagebookServer, stage_arn: str, code: ErrorCodeText) -> None:
    ann = stagebook.participant(stage_arn)
    OF_PARTICIPANTS[code](ann)
    assert code in [event.error_code for event in ann.events]


@pytest.mark.parametrize("code", OF_ENCODERS)
def test_error_code_of_an_encoder(stagebook: StagebookServer, stage_arn: str, code: ErrorCodeText) -> None:
    obs = stagebook.encoder(stage_arn=stage_arn)
    OF_ENCODERS[code](obs)
    assert code in [event.error_code for event in obs.events]


def test_nothing_is_missing() -> None:
    assert {*EVENTS, *REPLICATION} == set(EVENT_NAMES)
    assert {*OF_PARTICIPANTS, *OF_ENCODERS} == set(ERROR_CODES)
