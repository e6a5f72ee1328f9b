"""Logged events for tests of filters and documents."""

from typing import Any

from stagebook.book.book_values import RecordedEvent
from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.event_log import LoggedEvent
from stagebook.stage.composition.composition_events import (
    CompositionCause,
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)
from stagebook.stage.events import Event, EventName

ACCOUNT = "123456789012"
STAGE_ARN = f"arn:aws:ivs:us-west-2:{ACCOUNT}:stage/abcdABCDefgh"
SESSION = "st-a1b2c3d4e5f6g"
TIME_MS = 1_700_000_000_123


def logged(
    name: EventName = EventName.JOINED,
    *,
    participant_id: str = "p",
    sequence: int = TIME_MS << 20,
    identity: dict[str, str] | None = None,
    **members: Any,  # noqa: ANN401 - the members of Event
) -> LoggedEvent:
    """Return an event with defaults. `identity` replaces the ids of the account, the stage, the session or the user."""
    ids = {"account_id": ACCOUNT, "stage_arn": STAGE_ARN, "session_id": SESSION, "user_id": "ann"} | (identity or {})
    event = Event(name=name, **members)
    return LoggedEvent(**ids, recorded=RecordedEvent(sequence=sequence, participant_id=participant_id, event=event))


def of_composition(*, sequence: int = TIME_MS << 20) -> LoggedCompositionEvent:
    """Return an event of a composition with each member."""
    return LoggedCompositionEvent(
        account_id=ACCOUNT,
        stage_arn=STAGE_ARN,
        composition_arn=f"arn:aws:ivs:us-west-2:{ACCOUNT}:composition/abcdABCDefgh",
        sequence=sequence,
        event=CompositionEvent(
            name=CompositionEventName.COMPOSITION_DESTINATION_FAILED,
            destination_id="GHFabcgefABC",
            error_code=CompositionErrorCode.ACCESS_DENIED_EXCEPTION,
            cause=CompositionCause.OUTPUT,
        ),
    )
