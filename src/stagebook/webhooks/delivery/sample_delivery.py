"""The test event of a destination: a message that shows whether it can be reached, and whether it accepts signatures.

It is sent once, also to a destination that is disabled. It is no event of the book: its detail-type, or the type of its
CloudEvent, says so.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from stagebook.stage.timestamps import iso8601
from stagebook.webhooks.delivery.delivery_journal import DeliveryJournal, JournalEntry, SampleRequest
from stagebook.webhooks.delivery.delivery_schedule import DeliveryState
from stagebook.webhooks.delivery_outcome import Delivered, Failed, Outcome
from stagebook.webhooks.destination import DeliveryFormat, Destination
from stagebook.webhooks.event_envelope import (
    CLOUD_EVENT_TYPE_PREFIX,
    CONTENT_TYPES,
    OWN_SOURCE,
    EventEnvelope,
    whole_seconds,
)
from stagebook.webhooks.targets.target import OutgoingMessage, Target
from stagebook.webhooks.webhook_file import DeliveryOrigin

TEST_NAME: Final = "TEST"
TEST_DETAIL_TYPE: Final = "Stagebook Webhook Test"
TEST_RUN_KEY: Final = 0


async def deliver_test(
    request: SampleRequest,
    destination: Destination,
    *,
    target: Target,
    journal: DeliveryJournal,
    now_ms: Callable[[], int],
) -> None:
    """Deliver the test event that was asked for, and note in the journal what became of it."""
    outcome = await _deliver(request, destination, target)
    is_delivered = isinstance(outcome, Delivered)
    journal.note(
        JournalEntry(
            destination_id=destination.destination_id,
            run_key=TEST_RUN_KEY,
            # Unique for a destination, and no sequence number of the book.
            sequence=request.key,
            event_id=request.event_id,
            name=TEST_NAME,
            session_id="",
            origin=DeliveryOrigin.TEST,
            state=DeliveryState.DELIVERED if is_delivered else DeliveryState.DEAD,
            attempts=1,
            status=outcome.status if isinstance(outcome, Delivered | Failed) else None,
            error=outcome.reason if isinstance(outcome, Failed) else None,
            now_ms=now_ms(),
        )
    )


async def _deliver(request: SampleRequest, destination: Destination, target: Target) -> Outcome:
    message = OutgoingMessage(
        event_id=request.event_id,
        session_id=request.event_id,
        body=_body(request, destination),
        content_type=CONTENT_TYPES[destination.format],
        time_s=int(time.time()),
    )
    try:
        (outcome,) = await target.deliver([message])
    except Exception as error:  # noqa: BLE001 - whatever happened is what the test shows
        return Failed(reason=f"{type(error).__name__}: {error}")
    return outcome


def _body(request: SampleRequest, destination: Destination) -> bytes:
    detail: dict[str, Any] = {"webhook": destination.destination_id, "message": "This is a test of Stagebook."}
    if destination.format is DeliveryFormat.CLOUDEVENTS:
        return msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": request.event_id,
                "source": f"/webhooks/{destination.destination_id}",
                "type": CLOUD_EVENT_TYPE_PREFIX + TEST_NAME,
                "time": iso8601(request.requested_ms),
                "datacontenttype": "application/json",
                "data": detail,
            }
        )
    return msgspec.json.encode(
        EventEnvelope(
            id=request.event_id,
            detail_type=TEST_DETAIL_TYPE,
            source=OWN_SOURCE,
            account=destination.account_id,
            time=whole_seconds(request.requested_ms),
            region=destination.region or "",
            resources=(),
            detail=detail,
        )
    )
