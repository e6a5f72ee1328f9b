"""Every event and every error code, each caused by one call of the test tools, as boto3 lists them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, get_args

import pytest

from stagebook.api import fault_table
from stagebook.stage.events import AWS_EVENT_NAMES, ErrorCode
from stagebook.testing import (
    ERROR_CODES,
    EVENT_NAMES,
    CallRefusedError,
    ReportedEvent,
    StagebookServer,
    StageParticipant,
)
from stagebook.testing.codes import ErrorCodeText, EventNameText, FaultKind

Client: TypeAlias = Any
Events: TypeAlias = Sequence[ReportedEvent]

ENCODER_CODES = {"INVALID_STREAM_KEY", "INVALID_PROTOCOL", "REUSE_OF_STREAM_KEY", "INVALID_INPUT"}
SUBSCRIBE_CODES = {"PUBLISHER_NOT_FOUND"}

CAUSES: dict[EventNameText, Callable[[StageParticipant, StageParticipant], Events]] = {
    "JOINED": lambda ann, _: ann.join(),
    "LEFT": lambda ann, _: [*ann.join(), *ann.leave()],
    "PUBLISH_STARTED": lambda ann, _: ann.publish(),
    "PUBLISH_STOPPED": lambda ann, _: [*ann.publish(), *ann.unpublish()],
    "SUBSCRIBE_STARTED": lambda ann, bob: ann.subscribe(bob),
    "SUBSCRIBE_STOPPED": lambda ann, bob: [*ann.subscribe(bob), *ann.unsubscribe(bob.participant_id)],
    "PUBLISH_ERROR": lambda ann, _: ann.fail_publish("INSUFFICIENT_CAPABILITIES"),
    "SUBSCRIBE_ERROR": lambda ann, _: ann.fail_subscribe("PUBLISHER_NOT_FOUND"),
    "JOIN_ERROR": lambda ann, _: ann.fail_join("QUOTA_EXCEEDED"),
    "TOKEN_EXCHANGED": lambda ann, _: [*ann.join(), *ann.exchange_token(user_id="anna")],
}


@pytest.fixture
def stage_arn(ivs: Client) -> str:
    arn: str = ivs.create_stage(name="show")["stage"]["arn"]
    return arn


def listed(ivs: Client, ann: StageParticipant) -> list[dict[str, Any]]:
    """Return the events of a participant as the AWS API lists them, oldest first."""
    answer = ivs.list_participant_events(
        stageArn=ann.stage_arn, sessionId=ann.session_id, participantId=ann.participant_id
    )
    events: list[dict[str, Any]] = answer["events"]
    return events[::-1]


def test_the_names_are_those_of_the_service_model() -> None:
    assert tuple(name.value for name in AWS_EVENT_NAMES) == EVENT_NAMES
    assert tuple(code.value for code in ErrorCode) == ERROR_CODES
    assert tuple(kind.value for kind in fault_table.FaultKind) == get_args(FaultKind)


@pytest.mark.parametrize("name", CAUSES)
def test_each_event_has_a_call(stagebook: StagebookServer, ivs: Client, stage_arn: str, name: EventNameText) -> None:
    ann, bob = stagebook.participant(stage_arn, user_id="ann"), stagebook.participant(stage_arn, user_id="bob")
    bob.publish()
    events = CAUSES[name](ann, bob)
    assert name in [event.name for event in events]
    assert [event["name"] for event in listed(ivs, ann)] == [event.name for event in events]
    assert [event.id for event in ann.events] == [event.id for event in events]


def test_replication_is_started_and_stopped_by_the_aws_api(
    stagebook: StagebookServer, ivs: Client, stage_arn: str
) -> None:
    ann = stagebook.participant(stage_arn, user_id="ann")
    ann.publish()
    other = ivs.create_stage(name="other")["stage"]["arn"]
    ends = {"sourceStageArn": stage_arn, "destinationStageArn": other, "participantId": ann.participant_id}
    ivs.start_participant_replication(**ends)
    ivs.stop_participant_replication(**ends)
    names = [event.name for event in ann.events]
    assert names == ["JOINED", "PUBLISH_STARTED", "REPLICATION_STARTED", "REPLICATION_STOPPED"]
    assert {*CAUSES, *names} == set(EVENT_NAMES)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_each_error_code_has_a_call(
    stagebook: StagebookServer, ivs: Client, stage_arn: str, code: ErrorCodeText
) -> None:
    if code in ENCODER_CODES:
        encoder = stagebook.encoder(stage_arn=stage_arn)
        errors = encoder.fail_publish(code)
        assert encoder.events == tuple(errors)
    else:
        ann = stagebook.participant(stage_arn, user_id="ann")
        errors = ann.fail_subscribe(code) if code in SUBSCRIBE_CODES else ann.fail_publish(code)
        assert code in [event.get("errorCode") for event in listed(ivs, ann)]
    assert code in [event.error_code for event in errors]


def test_a_code_that_the_event_does_not_have_is_refused(stagebook: StagebookServer, stage_arn: str) -> None:
    with pytest.raises(CallRefusedError, match="INVALID_STREAM_KEY") as refused:
        stagebook.participant(stage_arn).fail_publish("INVALID_STREAM_KEY")
    assert (refused.value.status, refused.value.code) == (409, "CONFLICT")
