"""The messages of webhooks: EventBridge's envelope, and CloudEvents 1.0.

EventBridge's envelope has the detail-type and the detail that Amazon IVS sends for the events that it sends there, with
source `aws.ivs`. All other events have a detail-type and a source of Stagebook, so a rule that was written for AWS gets
what it gets from AWS, also if it filters by the source alone.

Sources: IVS Real-Time user guide, "Using Amazon EventBridge with IVS Real-Time Streaming"; CloudEvents 1.0.2, JSON
event format, and its extensions "sequence" and "partitioning".
"""

from typing import Any, Final

import msgspec

from stagebook.book.event_log import LoggedEvent
from stagebook.history.event_document import event_document
from stagebook.stage.events import EventName, ExchangedToken, RecordingDetails
from stagebook.stage.timestamps import iso8601
from stagebook.webhooks.destination import DeliveryFormat

AWS_SOURCE: Final = "aws.ivs"
STAGE_DETAIL_TYPE: Final = "IVS Stage Update"
RECORDING_DETAIL_TYPE: Final = "IVS Participant Recording State Change"
OWN_SOURCE: Final = "stagebook"
OWN_DETAIL_TYPE: Final = "Stagebook Participant Event"
CLOUD_EVENT_TYPE_PREFIX: Final = "stagebook.participant."
CONTENT_TYPES: Final = {
    DeliveryFormat.EVENTBRIDGE: "application/json",
    DeliveryFormat.CLOUDEVENTS: "application/cloudevents+json",
}
AWS_EVENT_NAMES: Final = {
    EventName.PUBLISH_STARTED: "Participant Published",
    EventName.PUBLISH_STOPPED: "Participant Unpublished",
    EventName.PUBLISH_ERROR: "Participant Publish Error",
    EventName.REPLICATION_STARTED: "Participant Replication Start",
    EventName.REPLICATION_STOPPED: "Participant Replication End",
    EventName.TOKEN_EXCHANGED: "Token Exchanged",
}
"""The events that AWS sends to EventBridge with the detail-type of stages, by their name in the book."""
AWS_RECORDING_NAMES: Final = {
    EventName.RECORDING_STARTED: "Recording Start",
    EventName.RECORDING_ENDED: "Recording End",
    EventName.RECORDING_START_FAILED: "Recording Start Failure",
    EventName.RECORDING_END_FAILED: "Recording End Failure",
}
"""Those that it sends with the detail-type of recordings."""
_RECORDING_ENDS: Final = frozenset((EventName.RECORDING_ENDED, EventName.RECORDING_END_FAILED))


class ReplicaSource(msgspec.Struct, frozen=True, kw_only=True):
    """The stage and the session that a replica comes from."""

    stage_arn: str
    session_id: str


class EventEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """EventBridge's envelope: "AWS events" in its user guide."""

    version: str = "0"
    id: str
    detail_type: str = msgspec.field(name="detail-type")
    source: str
    account: str
    time: str
    region: str
    resources: tuple[str, ...]
    detail: dict[str, Any]


def event_envelope(logged: LoggedEvent, *, source: ReplicaSource | None = None) -> EventEnvelope:
    """Return the envelope of an event. `source` is where a replica comes from."""
    detail_type, detail = _detail(logged, source)
    return EventEnvelope(
        id=logged.event_id,
        detail_type=detail_type,
        source=OWN_SOURCE if detail_type == OWN_DETAIL_TYPE else AWS_SOURCE,
        account=logged.account_id,
        time=whole_seconds(logged.time_ms),
        region=logged.stage_arn.split(":")[3],
        resources=(logged.stage_arn,),
        detail=detail,
    )


def message_body(logged: LoggedEvent, form: DeliveryFormat, *, source: ReplicaSource | None = None) -> bytes:
    """Return the JSON of the message about an event."""
    if form is DeliveryFormat.CLOUDEVENTS:
        return msgspec.json.encode(_cloud_event(logged))
    return msgspec.json.encode(event_envelope(logged, source=source))


def _detail(logged: LoggedEvent, source: ReplicaSource | None) -> tuple[str, dict[str, Any]]:
    """Return the detail-type and the detail of an event."""
    event = logged.event
    if (name := AWS_EVENT_NAMES.get(event.name)) is not None:
        return STAGE_DETAIL_TYPE, _stage_detail(logged, name, source)
    if event.recording is not None and (name := AWS_RECORDING_NAMES.get(event.name)) is not None:
        return RECORDING_DETAIL_TYPE, _recording_detail(logged, event.recording, name)
    return OWN_DETAIL_TYPE, msgspec.to_builtins(event_document(logged))


def _recording_detail(logged: LoggedEvent, recording: RecordingDetails, name: str) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "session_id": logged.session_id,
        "event_name": name,
        "participant_id": logged.participant_id,
        "recording_s3_bucket_name": recording.bucket_name,
        "recording_s3_key_prefix": recording.prefix,
    }
    if logged.event.name in _RECORDING_ENDS:
        # A rule or a function that was written for AWS expects the member in each end.
        detail["recording_duration_ms"] = recording.duration_ms or 0
    if recording.error_code is not None:
        detail |= {"error_code": recording.error_code.value, "reason": recording.reason}
    return detail


def _stage_detail(logged: LoggedEvent, name: str, source: ReplicaSource | None) -> dict[str, Any]:
    event = logged.event
    detail: dict[str, Any] = {
        "session_id": logged.session_id,
        "event_name": name,
        "event_time": whole_seconds(logged.time_ms),
        "user_id": logged.user_id,
        "participant_id": logged.participant_id,
    }
    match event.name:
        case EventName.PUBLISH_STARTED | EventName.PUBLISH_STOPPED:
            detail["event_time_precise"] = _precise(logged.time_ms, digits=6)
        case EventName.PUBLISH_ERROR:
            # The documented sample has nanoseconds here, and whole seconds in the other events.
            detail["event_time"] = _precise(logged.time_ms, digits=9)
            detail["error_code"] = None if event.error_code is None else event.error_code.value
    if event.replica:
        detail["replica"] = True
    if source is not None:
        detail |= {"source_stage_arn": source.stage_arn, "source_session_id": source.session_id}
    if event.destination is not None:
        destination = event.destination
        detail |= {
            "destination_stage_arn": destination.stage_arn,
            "destination_session_id": destination.session_id,
        }
    if event.exchange is not None:
        detail |= {"previous_token": _token(event.exchange.previous), "new_token": _token(event.exchange.new)}
    return detail


def _token(token: ExchangedToken) -> dict[str, Any]:
    return {
        "capabilities": token.capabilities,
        "attributes": token.attributes,
        "user_id": token.user_id,
        "expiration_time": whole_seconds(token.expiration_ms),
    }


def _cloud_event(logged: LoggedEvent) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": logged.event_id,
        "source": logged.stage_arn,
        "type": CLOUD_EVENT_TYPE_PREFIX + logged.event.name.value,
        "subject": f"{logged.session_id}/{logged.participant_id}",
        "time": iso8601(logged.time_ms),
        "datacontenttype": "application/json",
        "sequence": str(logged.sequence),
        "partitionkey": logged.session_id,
        "data": event_document(logged),
    }


def whole_seconds(time_ms: int) -> str:
    """Format milliseconds since the epoch as EventBridge does, as in `2023-04-26T20:36:28Z`."""
    return f"{iso8601(time_ms)[:-5]}Z"


def _precise(time_ms: int, *, digits: int) -> str:
    return f"{iso8601(time_ms)[:-1]:0<{20 + digits}}Z"
