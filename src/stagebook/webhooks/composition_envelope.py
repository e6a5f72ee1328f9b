"""The messages of webhooks about compositions: IVS Composition State Change, and CloudEvents 1.0.

Source: IVS Real-Time user guide, "Using Amazon EventBridge with IVS Real-Time Streaming".
"""

from typing import Any, Final

import msgspec

from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.history.composition_document import composition_event_document
from stagebook.stage.composition.composition_events import CompositionEventName
from stagebook.stage.timestamps import iso8601
from stagebook.webhooks.destination import DeliveryFormat
from stagebook.webhooks.event_envelope import AWS_SOURCE, EventEnvelope, whole_seconds

COMPOSITION_DETAIL_TYPE: Final = "IVS Composition State Change"
COMPOSITION_TYPE_PREFIX: Final = "stagebook.composition."
AWS_COMPOSITION_EVENT_NAMES: Final = {
    CompositionEventName.COMPOSITION_STARTED: "Session Start",
    CompositionEventName.COMPOSITION_ENDED: "Session End",
    CompositionEventName.COMPOSITION_FAILED: "Session Failure",
    CompositionEventName.COMPOSITION_DESTINATION_STARTED: "Destination Start",
    CompositionEventName.COMPOSITION_DESTINATION_ENDED: "Destination End",
    CompositionEventName.COMPOSITION_DESTINATION_RECONNECTING: "Destination Reconnecting",
    CompositionEventName.COMPOSITION_DESTINATION_FAILED: "Destination Failure",
}
"""The names that AWS sends to EventBridge, by the name in the book."""


def composition_envelope(logged: LoggedCompositionEvent) -> EventEnvelope:
    """Return the envelope of an event of a composition."""
    event = logged.event
    detail: dict[str, Any] = {
        "event_name": AWS_COMPOSITION_EVENT_NAMES[event.name],
        "stage_arn": logged.stage_arn,
    }
    if event.destination_id is not None:
        detail["id"] = event.destination_id
    if event.error_code is not None:
        detail |= {"error_code": event.error_code.value, "reason": event.reason}
    return EventEnvelope(
        id=logged.event_id,
        detail_type=COMPOSITION_DETAIL_TYPE,
        source=AWS_SOURCE,
        account=logged.account_id,
        time=whole_seconds(logged.time_ms),
        region=logged.stage_arn.split(":")[3],
        resources=(logged.composition_arn,),
        detail=detail,
    )


def composition_message_body(logged: LoggedCompositionEvent, form: DeliveryFormat) -> bytes:
    """Return the JSON of the message about an event of a composition."""
    if form is DeliveryFormat.CLOUDEVENTS:
        return msgspec.json.encode(_cloud_event(logged))
    return msgspec.json.encode(composition_envelope(logged))


def _cloud_event(logged: LoggedCompositionEvent) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": logged.event_id,
        "source": logged.stage_arn,
        "type": COMPOSITION_TYPE_PREFIX + logged.event.name.value,
        "subject": logged.composition_arn,
        "time": iso8601(logged.time_ms),
        "datacontenttype": "application/json",
        "sequence": str(logged.sequence),
        "partitionkey": logged.composition_arn,
        "data": composition_event_document(logged),
    }
