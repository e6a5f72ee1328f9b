"""The JSON form of an event: AWS's members under AWS's names, and Stagebook's own."""

from typing import Any

import msgspec

from stagebook.book.event_id import event_id
from stagebook.history.event_document import event_document
from stagebook.stage.events import Cause, ErrorCode, Event, EventName
from tests.book.golden_values import EXCHANGE, REPLICATION
from tests.history.logged import ACCOUNT, SESSION, STAGE_ARN, TIME_MS, logged


def test_a_simple_event_has_its_identity_and_nothing_that_does_not_apply() -> None:
    sequence = TIME_MS << 20 | 5
    assert msgspec.to_builtins(event_document(logged(sequence=sequence, cause=Cause.CLIENT))) == {
        "id": event_id(sequence, session_id=SESSION, participant_id="p"),
        "sequence": str(sequence),
        "eventTime": "2023-11-14T22:13:20.123Z",
        "name": "JOINED",
        "accountId": ACCOUNT,
        "stageArn": STAGE_ARN,
        "sessionId": SESSION,
        "participantId": "p",
        "userId": "ann",
        "cause": "client",
    }


def test_an_error_has_its_code_and_detail() -> None:
    document = msgspec.to_builtins(
        event_document(logged(EventName.PUBLISH_ERROR, error_code=ErrorCode.INVALID_INPUT, detail="why"))
    )
    assert (document["errorCode"], document["detail"]) == ("INVALID_INPUT", "why")


def test_replications_and_exchanges_have_their_members() -> None:
    replication = event_document(logged(**_members(REPLICATION)))
    assert replication.replica
    assert replication.destination_session_id == "st-destination"
    exchange = msgspec.to_builtins(event_document(logged(**_members(EXCHANGE))))
    assert exchange["previousToken"].keys() == {"capabilities", "attributes", "userId", "expirationTime"}
    assert exchange["newToken"]["expirationTime"].endswith("Z")


def _members(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}
