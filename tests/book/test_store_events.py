"""Events of the port: complete, in order, paged by position, with strictly growing sequence numbers."""

import msgspec
import pytest
from msgspec.structs import replace

from stagebook.api.aws.operations.event_page import encode_event_page
from stagebook.book.book_values import EventExtra
from stagebook.book.changes import sequence_time_ms
from stagebook.book.store import Book
from stagebook.stage.events import (
    Cause,
    ErrorCode,
    Event,
    EventName,
    ExchangedToken,
    ReplicationDestination,
    TokenExchange,
)
from tests.book.conftest import Books
from tests.book.sample import (
    ARN,
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    open_session,
    put,
    put_stage,
)

PREVIOUS = ExchangedToken(capabilities=("PUBLISH",), attributes={"a": 'b"\x00é'}, user_id="ann", expiration_ms=NOON_MS)
NEW = ExchangedToken(capabilities=("PUBLISH", "SUBSCRIBE"), attributes={}, user_id="", expiration_ms=NOON_MS + 1)
EVENTS = [
    Event(name=EventName.JOINED),
    Event(name=EventName.SUBSCRIBE_STARTED, remote_participant_id="abCDEf12GHIj", replica=True),
    Event(
        name=EventName.PUBLISH_ERROR, error_code=ErrorCode.BITRATE_EXCEEDED, cause=Cause.LIMIT, detail="9 Mbit/s\x00é"
    ),
    Event(
        name=EventName.REPLICATION_STARTED,
        destination=ReplicationDestination(stage_arn=OTHER_ARN, session_id=OTHER_SESSION),
    ),
    Event(name=EventName.TOKEN_EXCHANGED, exchange=TokenExchange(previous=PREVIOUS, new=NEW), cause=Cause.CLIENT),
    Event(name=EventName.LEFT, cause=Cause.CRASH_RECOVERY),
]


async def _open_session_with_participants(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put("p"), put("q"))


def without_nul(event: Event) -> Event:
    """Return an event with U+FFFD in place of NUL in its detail."""
    return replace(event, detail=event.detail and event.detail.replace("\0", "\ufffd"))


async def test_events_are_read_as_they_were_appended(book: Book) -> None:
    await _open_session_with_participants(book)
    sequences = await commit(book, *(append("p", event) for event in EVENTS))
    recorded = book.list_events(ARN, SESSION, "p")
    # PostgreSQL cannot store the character NUL.
    assert [one.event for one in recorded] in (EVENTS, [without_nul(event) for event in EVENTS])
    assert [one.sequence for one in recorded] == list(sequences)
    assert {one.participant_id for one in recorded} == {"p"}
    assert {one.time_ms for one in recorded} == {NOON_MS}


async def test_a_page_holds_the_members_of_the_api_newest_first(book: Book) -> None:
    await _open_session_with_participants(book)
    sequences = await commit(book, *(append("p", event) for event in EVENTS))
    await commit(book, append("q"))
    rows = book.page_events(ARN, SESSION, "p", after=None, limit=50)
    assert [row[0] for row in rows] == sorted(sequences, reverse=True)
    assert [row[1] for row in rows] == [list(EventName).index(event.name) for event in reversed(EVENTS)]
    assert [row[2] for row in rows] == [None, None, None, list(ErrorCode).index(ErrorCode.BITRATE_EXCEEDED), None, None]
    assert [row[3] for row in rows] == [None, None, None, None, "abCDEf12GHIj", None]
    assert [row[4] for row in rows] == [0, 0, 0, 0, 1, 0]
    replication, exchange = rows[2][5], rows[1][5]
    assert replication is not None
    assert exchange is not None
    assert msgspec.json.decode(replication, type=EventExtra) == EventExtra(
        destination_stage_arn=OTHER_ARN, destination_session_id=OTHER_SESSION
    )
    kept = msgspec.json.decode(exchange, type=EventExtra)
    assert msgspec.json.decode(kept.exchange, type=TokenExchange) == TokenExchange(previous=PREVIOUS, new=NEW)
    assert kept.destination_stage_arn is None
    assert [row[5] for row in rows if row not in (rows[1], rows[2])] == [None] * 4


async def test_extra_members_are_encoded_in_the_api_response(book: Book) -> None:
    await _open_session_with_participants(book)
    await commit(book, append("p", EVENTS[3]), append("p", EVENTS[4]))
    rows = book.page_events(ARN, SESSION, "p", after=None, limit=9, oldest_first=True)
    started, exchanged = msgspec.json.decode(encode_event_page("p", rows, None))["events"]
    assert started["destinationStageArn"] == OTHER_ARN
    assert started["destinationSessionId"] == OTHER_SESSION
    assert exchanged["previousToken"] == {
        "capabilities": ["PUBLISH"],
        "attributes": {"a": 'b"\x00é'},
        "userId": "ann",
        "expirationTime": "2023-11-14T22:13:20.000Z",
    }
    assert exchanged["newToken"] == {
        "capabilities": ["PUBLISH", "SUBSCRIBE"],
        "attributes": {},
        "userId": "",
        "expirationTime": "2023-11-14T22:13:20.001Z",
    }


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 7, 20])
async def test_consecutive_pages_make_the_whole_list(book: Book, limit: int, *, oldest_first: bool) -> None:
    await _open_session_with_participants(book)
    sequences = await commit(book, *(append("p", at_ms=NOON_MS + number // 3) for number in range(20)))
    seen: list[int] = []
    while page := book.page_events(
        ARN, SESSION, "p", after=seen[-1] if seen else None, limit=limit, oldest_first=oldest_first
    ):
        assert len(page) <= limit
        seen += [row[0] for row in page]
    assert seen == sorted(sequences, reverse=not oldest_first)


async def test_a_sequence_number_holds_the_time_and_grows_within_a_millisecond(book: Book) -> None:
    await _open_session_with_participants(book)
    sequences = await commit(book, append("p"), append("q"), append("p", at_ms=NOON_MS + 1))
    assert [sequence_time_ms(sequence) for sequence in sequences] == [NOON_MS, NOON_MS, NOON_MS + 1]
    assert len(set(sequences)) == 3
    assert list(sequences) == sorted(sequences)


async def test_sequence_numbers_are_assigned_in_the_order_of_submissions(book: Book) -> None:
    await _open_session_with_participants(book)
    submissions = [book.submit([append("p"), append("q")]) for _ in range(50)]
    assigned = [sequence for submission in submissions for sequence in submission.sequences]
    assert assigned == sorted(set(assigned))
    await submissions[-1].durable
    assert all(submission.durable.done() for submission in submissions)


async def test_sequence_numbers_grow_when_the_clock_goes_back(book: Book) -> None:
    await _open_session_with_participants(book)
    (late,) = await commit(book, append("p", at_ms=NOON_MS))
    (early,) = await commit(book, append("q", at_ms=NOON_MS - 60_000))
    assert early > late
    assert sequence_time_ms(early) == sequence_time_ms(late)


async def test_sequence_numbers_grow_across_a_restart_when_the_clock_goes_back(books: Books) -> None:
    book = books.open()
    await _open_session_with_participants(book)
    (late,) = await commit(book, append("p", at_ms=NOON_MS))
    await book.close()
    book = books.open()
    (early,) = await commit(book, append("p", at_ms=NOON_MS - 60_000))
    assert early > late
    assert [one.sequence for one in book.list_events(ARN, SESSION, "p")] == [late, early]


async def test_an_empty_book_has_no_last_event(book: Book) -> None:
    await commit(book, put_stage())
    assert book.last_time_ms() == 0


async def test_the_last_event_time_is_that_of_the_newest_sequence(books: Books) -> None:
    book = books.open()
    await _open_session_with_participants(book)
    await commit(book, append("p", at_ms=NOON_MS))
    await commit(book, append("q", at_ms=NOON_MS - 60_000))
    assert book.last_time_ms() == NOON_MS
    await book.close()
    assert books.open().last_time_ms() == NOON_MS


async def test_a_participant_id_has_separate_events_in_each_session(book: Book) -> None:
    await _open_session_with_participants(book)
    await commit(book, put_stage(OTHER_ARN), open_session(arn=OTHER_ARN), put("p", arn=OTHER_ARN))
    await commit(book, append("p"))
    await commit(book, append("p", EventName.LEFT, arn=OTHER_ARN))
    assert [one.event.name for one in book.list_events(ARN, SESSION, "p")] == [EventName.JOINED]
    assert [one.event.name for one in book.list_events(OTHER_ARN, SESSION, "p")] == [EventName.LEFT]
