"""The messages of webhooks, compared with the documented details of EventBridge and with the CloudEvents library."""

import json
import uuid
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat

from stagebook.stage.events import (
    Cause,
    ErrorCode,
    EventName,
    ExchangedToken,
    RecordingDetails,
    RecordingErrorCode,
    ReplicationDestination,
    TokenExchange,
)
from stagebook.webhooks.destination import DeliveryFormat
from stagebook.webhooks.event_envelope import (
    AWS_EVENT_NAMES,
    AWS_RECORDING_NAMES,
    CONTENT_TYPES,
    ReplicaSource,
    message_body,
)
from tests.history.logged import ACCOUNT, SESSION, STAGE_ARN, logged

OTHER_ARN = STAGE_ARN.replace("abcd", "dcba")
COMMON = {"session_id": SESSION, "participant_id": "p", "user_id": "ann", "event_time": "2023-11-14T22:13:20Z"}
TOKEN = ExchangedToken(capabilities=("PUBLISH",), attributes={"a": "b"}, user_id="ann", expiration_ms=1_700_000_000_000)
TOKEN_DETAIL = {
    "capabilities": ["PUBLISH"],
    "attributes": {"a": "b"},
    "user_id": "ann",
    "expiration_time": "2023-11-14T22:13:20Z",
}
DESTINATION = ReplicationDestination(stage_arn=OTHER_ARN, session_id="st-2")


def envelope(name: EventName, *, source: ReplicaSource | None = None, **members: Any) -> Any:  # noqa: ANN401 - JSON
    return json.loads(message_body(logged(name, **members), DeliveryFormat.EVENTBRIDGE, source=source))


def test_the_envelope_is_that_of_eventbridge() -> None:
    found = envelope(EventName.PUBLISH_STARTED)
    assert {name: value for name, value in found.items() if name not in {"detail", "id"}} == {
        "version": "0",
        "detail-type": "IVS Stage Update",
        "source": "aws.ivs",
        "account": ACCOUNT,
        "time": "2023-11-14T22:13:20Z",
        "region": "us-west-2",
        "resources": [STAGE_ARN],
    }
    assert found["id"] == logged(EventName.PUBLISH_STARTED).event_id == str(uuid.UUID(found["id"]))


@pytest.mark.parametrize(
    ("name", "members", "detail"),
    [
        (
            EventName.PUBLISH_STARTED,
            {},
            {"event_name": "Participant Published", "event_time_precise": "2023-11-14T22:13:20.123000Z"},
        ),
        (
            EventName.PUBLISH_STOPPED,
            {"cause": Cause.CLIENT, "detail": "not shown"},
            {"event_name": "Participant Unpublished", "event_time_precise": "2023-11-14T22:13:20.123000Z"},
        ),
        (
            EventName.PUBLISH_ERROR,
            {"error_code": ErrorCode.BITRATE_EXCEEDED},
            {
                "event_name": "Participant Publish Error",
                "event_time": "2023-11-14T22:13:20.123000000Z",
                "error_code": "BITRATE_EXCEEDED",
            },
        ),
        (
            EventName.REPLICATION_STARTED,
            {"destination": DESTINATION},
            {
                "event_name": "Participant Replication Start",
                "destination_stage_arn": OTHER_ARN,
                "destination_session_id": "st-2",
            },
        ),
        (
            EventName.REPLICATION_STOPPED,
            {"destination": DESTINATION},
            {
                "event_name": "Participant Replication End",
                "destination_stage_arn": OTHER_ARN,
                "destination_session_id": "st-2",
            },
        ),
        (
            EventName.TOKEN_EXCHANGED,
            {"exchange": TokenExchange(previous=TOKEN, new=TOKEN)},
            {"event_name": "Token Exchanged", "previous_token": TOKEN_DETAIL, "new_token": TOKEN_DETAIL},
        ),
    ],
)
def test_the_details_of_aws(name: EventName, members: dict[str, Any], detail: dict[str, Any]) -> None:
    assert envelope(name, **members)["detail"] == COMMON | detail


def test_a_replica_names_its_source() -> None:
    source = ReplicaSource(stage_arn=OTHER_ARN, session_id="st-1")
    detail = envelope(EventName.PUBLISH_STARTED, source=source, replica=True)["detail"]
    assert {name: detail[name] for name in ("replica", "source_stage_arn", "source_session_id")} == {
        "replica": True,
        "source_stage_arn": OTHER_ARN,
        "source_session_id": "st-1",
    }


RECORDING = {
    "session_id": SESSION,
    "participant_id": "p",
    "recording_s3_bucket_name": "shows",
    "recording_s3_key_prefix": "abcd/st-1/p/2024-01-01T12-00-55Z",
}


@pytest.mark.parametrize(
    ("name", "members", "detail"),
    [
        (EventName.RECORDING_STARTED, {}, {"event_name": "Recording Start"}),
        (
            EventName.RECORDING_ENDED,
            {"duration_ms": 547_327},
            {"event_name": "Recording End", "recording_duration_ms": 547_327},
        ),
        (
            EventName.RECORDING_START_FAILED,
            {"error_code": RecordingErrorCode.VALIDATION},
            {
                "event_name": "Recording Start Failure",
                "error_code": "ValidationException",
                "reason": "Video codec not supported for recording",
            },
        ),
        (
            EventName.RECORDING_END_FAILED,
            {"duration_ms": 1_000, "error_code": RecordingErrorCode.RESOURCE_NOT_FOUND},
            {
                "event_name": "Recording End Failure",
                "recording_duration_ms": 1_000,
                "error_code": "ResourceNotFoundException",
                "reason": "S3 bucket not found. Please verify your bucket exists.",
            },
        ),
        (
            EventName.RECORDING_END_FAILED,
            {"error_code": RecordingErrorCode.INTERNAL_SERVER},
            {
                "event_name": "Recording End Failure",
                "recording_duration_ms": 0,
                "error_code": "InternalServerException",
                "reason": "Service internal error",
            },
        ),
    ],
)
def test_the_details_of_recordings(name: EventName, members: dict[str, Any], detail: dict[str, Any]) -> None:
    prefix = RECORDING["recording_s3_key_prefix"]
    recording = RecordingDetails(bucket_name="shows", prefix=prefix, **members)
    found = envelope(name, recording=recording, cause=Cause.CLIENT)
    assert found["detail"] == RECORDING | detail
    assert (found["detail-type"], found["source"], found["resources"]) == (
        "IVS Participant Recording State Change",
        "aws.ivs",
        [STAGE_ARN],
    )


@pytest.mark.parametrize(
    "name", [name for name in EventName if name not in AWS_EVENT_NAMES and name not in AWS_RECORDING_NAMES]
)
def test_events_that_aws_does_not_send_have_a_detail_type_and_a_source_of_their_own(name: EventName) -> None:
    found = envelope(name, cause=Cause.CLIENT)
    assert (found["detail-type"], found["source"]) == ("Stagebook Participant Event", "stagebook")
    assert found["detail"]["name"] == name
    assert found["detail"]["id"] == found["id"]
    assert found["detail"]["cause"] == "client"


def test_a_cloud_event_is_accepted_by_the_library() -> None:
    body = message_body(logged(EventName.JOINED), DeliveryFormat.CLOUDEVENTS)
    headers = {"content-type": CONTENT_TYPES[DeliveryFormat.CLOUDEVENTS]}
    event = from_http_event(HTTPMessage(headers=headers, body=body), JSONFormat())
    assert event.get_type() == "stagebook.participant.JOINED"
    assert event.get_source() == STAGE_ARN
    assert event.get_subject() == f"{SESSION}/p"
    assert event.get_extension("partitionkey") == SESSION
    assert event.get_extension("sequence") == str(logged().sequence)
    data: Any = event.get_data()
    assert data["id"] == event.get_id() == logged().event_id
