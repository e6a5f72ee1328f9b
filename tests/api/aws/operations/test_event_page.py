"""The encoding of ListParticipantEvents for every row that the book can hold."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.api.aws.operations.event_page import encode_event_page
from stagebook.book.book_values import EventExtra, EventRow
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.stage.events import AWS_EVENT_NAMES, ErrorCode, EventName, ExchangedToken, TokenExchange

PARTICIPANT_ID = "abCDEf12GHIj"
TIME_MS = 1_682_541_388_000  # 2023-04-26T20:36:28Z
LETTERS = 'aZ9_-"\\/é😀\x00\n'
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 2**43 - 1  # a sequence is a signed integer of 64 bits: 43 for the milliseconds, to the year 2248


def a_row(
    name: EventName,
    *,
    time_ms: int = TIME_MS,
    error_code: ErrorCode | None = None,
    remote: str | None = None,
    replica: bool = False,
    extra: EventExtra | None = None,
) -> EventRow:
    return (
        time_ms << SEQUENCE_TIME_SHIFT | 5,
        list(EventName).index(name),
        None if error_code is None else list(ErrorCode).index(error_code),
        remote,
        int(replica),
        None if extra is None else msgspec.json.encode(extra),
    )


def page_of(*rows: EventRow, next_token: str | None = None) -> Any:  # noqa: ANN401 - decoded JSON
    return msgspec.json.decode(encode_event_page(PARTICIPANT_ID, rows, next_token))


def event_of(row: EventRow) -> Any:  # noqa: ANN401 - decoded JSON
    (event,) = page_of(row)["events"]
    return event


def test_an_empty_page_has_an_empty_list() -> None:
    assert encode_event_page(PARTICIPANT_ID, [], None) == b'{"events":[]}'


def test_a_page_has_the_given_next_token() -> None:
    assert page_of(a_row(EventName.LEFT), next_token="abc_-9")["nextToken"] == "abc_-9"


def test_the_rows_keep_their_order() -> None:
    names = [event["name"] for event in page_of(a_row(EventName.LEFT), a_row(EventName.JOINED))["events"]]
    assert names == ["LEFT", "JOINED"]


@pytest.mark.parametrize("name", AWS_EVENT_NAMES)
def test_an_event_has_only_the_members_that_apply(name: EventName) -> None:
    assert event_of(a_row(name)) == {
        "name": str(name),
        "eventTime": "2023-04-26T20:36:28.000Z",
        "participantId": PARTICIPANT_ID,
    }


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_has_its_code(code: ErrorCode) -> None:
    assert event_of(a_row(EventName.PUBLISH_ERROR, error_code=code))["errorCode"] == str(code)


def test_replica_is_shown_only_when_true() -> None:
    assert event_of(a_row(EventName.SUBSCRIBE_STARTED, replica=True))["replica"] is True
    assert "replica" not in event_of(a_row(EventName.SUBSCRIBE_STARTED, replica=False))


def test_a_replication_has_its_destination() -> None:
    extra = EventExtra(
        destination_stage_arn="arn:aws:ivs:us-west-2:123456789012:stage/wxyzWXYZpqrs",
        destination_session_id="st-1CVugbu2cf2n8",
    )
    event = event_of(a_row(EventName.REPLICATION_STARTED, extra=extra))
    assert event["destinationStageArn"] == "arn:aws:ivs:us-west-2:123456789012:stage/wxyzWXYZpqrs"
    assert event["destinationSessionId"] == "st-1CVugbu2cf2n8"


def test_a_token_exchange_has_the_previous_and_the_new_token() -> None:
    exchange = TokenExchange(
        previous=ExchangedToken(
            capabilities=("SUBSCRIBE",), attributes={"role": "viewer"}, user_id="Initial", expiration_ms=TIME_MS
        ),
        new=ExchangedToken(
            capabilities=("PUBLISH", "SUBSCRIBE"), attributes={}, user_id='"Updated"', expiration_ms=TIME_MS + 3_600_042
        ),
    )
    event = event_of(
        a_row(EventName.TOKEN_EXCHANGED, extra=EventExtra(exchange=msgspec.Raw(msgspec.json.encode(exchange))))
    )
    assert event["previousToken"] == {
        "capabilities": ["SUBSCRIBE"],
        "attributes": {"role": "viewer"},
        "userId": "Initial",
        "expirationTime": "2023-04-26T20:36:28.000Z",
    }
    assert event["newToken"] == {
        "capabilities": ["PUBLISH", "SUBSCRIBE"],
        "attributes": {},
        "userId": '"Updated"',
        "expirationTime": "2023-04-26T21:36:28.042Z",
    }


@settings(max_examples=60, deadline=None)
@given(times_ms=st.lists(st.integers(0, LAST_MS), max_size=20))
def test_every_time_is_iso_8601_in_utc_with_milliseconds(times_ms: list[int]) -> None:
    page = page_of(*(a_row(EventName.JOINED, time_ms=time_ms) for time_ms in times_ms))
    expected = [
        (EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for time_ms in times_ms
    ]
    assert [event["eventTime"] for event in page["events"]] == expected


@settings(max_examples=60, deadline=None)
@given(participant_id=st.text(LETTERS, max_size=64), remote=st.text(LETTERS, max_size=64))
def test_ids_are_escaped(participant_id: str, remote: str) -> None:
    row = a_row(EventName.SUBSCRIBE_ERROR, remote=remote, error_code=ErrorCode.PUBLISHER_NOT_FOUND)
    (event,) = msgspec.json.decode(encode_event_page(participant_id, [row], None))["events"]
    assert event == {
        "name": "SUBSCRIBE_ERROR",
        "eventTime": "2023-04-26T20:36:28.000Z",
        "participantId": participant_id,
        "remoteParticipantId": remote,
        "errorCode": "PUBLISHER_NOT_FOUND",
    }
