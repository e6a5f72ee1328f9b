"""Transactions of the port: atomic, refused individually, durable in the order in which they were submitted."""

import pytest

from stagebook.book.book_errors import BookFailedError, ChangeRefusedError
from stagebook.book.book_values import ParticipantFilter
from stagebook.book.changes import Change, DeleteResource, DeleteStage, RevokeParticipant
from stagebook.book.store import Book
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantRecord, ParticipantState
from tests.book.conftest import Books
from tests.book.sample import (
    ARN,
    KEY_ARN,
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    end_session,
    open_session,
    public_key,
    put,
    put_replica,
    put_resource,
    put_stage,
)

UNKNOWN_ARN = ARN + "X"

CONTRADICTIONS: dict[str, list[Change]] = {
    "event of an unknown participant": [append("nobody")],
    "event in a session that is not open": [append("p", session_id=OTHER_SESSION)],
    "event on an unknown stage": [append("p", arn=UNKNOWN_ARN)],
    "event before the epoch": [append("p", at_ms=-1)],
    "event after the last time that fits": [append("p", at_ms=1 << 43)],
    "participant in a session that is not open": [put("q", session_id=OTHER_SESSION)],
    "second open session": [open_session(OTHER_SESSION)],
    "session on an unknown stage": [open_session(arn=UNKNOWN_ARN)],
    "session id reused": [end_session(), open_session()],
    "end of a session that is not open": [end_session(OTHER_SESSION)],
    "end of an ended session": [end_session(), end_session()],
    "event after the end": [end_session(), append("p")],
    "deletion of an unknown stage": [DeleteStage(stage_arn=UNKNOWN_ARN, at_ms=NOON_MS)],
    "stage deleted twice": [DeleteStage(stage_arn=ARN, at_ms=NOON_MS)] * 2,
    "stage put after its deletion": [DeleteStage(stage_arn=ARN, at_ms=NOON_MS), put_stage()],
    "session on a deleted stage": [
        end_session(),
        DeleteStage(stage_arn=ARN, at_ms=NOON_MS),
        open_session(OTHER_SESSION),
    ],
    "revocation on an unknown stage": [
        RevokeParticipant(stage_arn=UNKNOWN_ARN, participant_id="p", at_ms=NOON_MS, reason="")
    ],
    "replica to a session that does not exist": [put_replica()],
    "resource with a string that is not valid Unicode": [put_resource(public_key(name="\ud800"))],
    "deletion of a resource whose ARN is not valid Unicode": [DeleteResource(arn="\ud800")],
    "event with a string that is not valid Unicode": [append("p", Event(name=EventName.LEFT, detail="\ud800"))],
}


@pytest.mark.parametrize("contradiction", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
async def test_a_refused_transaction_changes_nothing_and_the_book_stays_usable(
    books: Books, contradiction: list[Change]
) -> None:
    book = books.open()
    first, second = await commit(book, put_stage(), open_session(), put("p"), append("p"), append("p"))
    valid: list[Change] = [
        put_stage(OTHER_ARN),
        put_resource(),
        put("new"),
        append("new"),
        append("p", at_ms=NOON_MS + 1_000),
    ]
    with pytest.raises(ChangeRefusedError):
        book.submit([*valid, *contradiction])

    async def check() -> None:
        assert book.get_stage(OTHER_ARN) is None
        assert book.get_resource(KEY_ARN) is None
        assert book.get_participant(ARN, SESSION, "new") is None
        assert len(book.list_events(ARN, SESSION, "p")) == 2
        assert book.list_open_sessions()[0].session_id == SESSION

    await check()
    # The same changes without the contradiction are accepted, and the refused ones used no sequence numbers.
    (sequence,) = await commit(book, append("p", EventName.LEFT, at_ms=NOON_MS))
    assert sequence - second == second - first
    await commit(book, *valid)
    assert [one.event.name for one in book.list_events(ARN, SESSION, "new")] == [EventName.JOINED]
    await book.close()
    book = books.open()
    assert len(book.list_events(ARN, SESSION, "p")) == 4


async def test_events_and_state_of_a_transaction_become_visible_together(book: Book) -> None:
    await commit(book, put_stage())
    joined = ParticipantRecord(participant_id="p", state=ParticipantState.CONNECTED, first_join_ms=NOON_MS)
    submission = book.submit([open_session(), put(joined), append("p")])
    # It can become durable at any moment. What is read later is visible if what was read earlier was.
    is_session_visible = bool(book.list_open_sessions())
    assert len(book.page_events(ARN, SESSION, "p", after=None, limit=9)) >= int(is_session_visible)
    await submission.durable
    assert book.get_participant(ARN, SESSION, "p") == joined
    assert len(book.page_events(ARN, SESSION, "p", after=None, limit=9)) == 1


async def test_a_transaction_can_depend_on_one_that_is_not_durable_yet(book: Book) -> None:
    book.submit([put_stage()])
    book.submit([open_session()])
    book.submit([put("p")])
    book.submit([append("p")])
    await book.submit([end_session()]).durable
    assert len(book.page_events(ARN, SESSION, "p", after=None, limit=9)) == 1


async def test_an_empty_transaction_is_durable_once_all_earlier_ones_are(book: Book) -> None:
    first = book.submit([put_stage()])
    assert await commit(book) == ()
    assert first.durable.done()


async def test_cancelling_a_wait_does_not_cancel_the_transaction(book: Book) -> None:
    waiting = book.submit([put_stage()]).durable
    waiting.cancel()
    await commit(book, put_stage(OTHER_ARN))
    assert book.get_stage(ARN) is not None


async def test_a_reopened_book_continues_the_open_session(books: Books) -> None:
    book = books.open()
    await commit(book, put_stage(), open_session(), put("p"), append("p"))
    await book.close()
    book = books.open()
    await commit(book, append("p", EventName.LEFT), put("q"), append("q"))
    page = book.list_participants(ARN, SESSION, where=ParticipantFilter(), after=None, limit=9)
    assert [one.participant_id for one in page.items] == ["q", "p"]
    assert [one.event.name for one in book.list_events(ARN, SESSION, "p")] == [EventName.JOINED, EventName.LEFT]


async def test_closing_commits_submitted_transactions_and_refuses_new_ones(books: Books) -> None:
    book = books.open()
    submissions = [book.submit([put_stage(f"{ARN}{number}")]) for number in range(100)]
    await book.close()
    await book.close()
    assert all(submission.durable.done() for submission in submissions)
    with pytest.raises(BookFailedError, match="closed"):
        book.submit([put_stage()])
    assert books.open().get_stage(f"{ARN}99") is not None
