"""Replicas of the port: listed by participant of the source stage, over all of its sessions, newest first."""

import pytest

from stagebook.book.book_errors import ChangeRefusedError
from stagebook.book.changes import DeleteStage, PutReplica
from stagebook.book.store import Book
from stagebook.stage.resources import Replica, ReplicationState
from tests.book.conftest import Books
from tests.book.sample import (
    ARN,
    NOON_MS,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    end_session,
    open_session,
    put,
    put_replica,
    put_stage,
    replica,
)

STOPPED = ReplicationState.STOPPED
LATER_SESSION = "st-0000000000000"


@pytest.fixture
async def book_with_sessions(book: Book) -> Book:
    """A book with an open session on each of two stages."""
    await _open_both(book)
    return book


async def _open_both(book: Book) -> None:
    await commit(book, put_stage(), open_session(), put("p"))
    await commit(book, put_stage(OTHER_ARN), open_session(OTHER_SESSION, arn=OTHER_ARN))


def _list(book: Book, stage_arn: str = ARN, participant_id: str = "p") -> list[Replica]:
    return book.list_replicas(stage_arn, participant_id, after=None, limit=9).items


async def test_a_replica_is_read_as_it_was_put(book_with_sessions: Book) -> None:
    await commit(book_with_sessions, put_replica())
    assert _list(book_with_sessions) == [replica()]
    assert book_with_sessions.list_active_replicas() == [replica()]


async def test_replicas_are_listed_by_source_stage_and_participant(book_with_sessions: Book) -> None:
    await commit(book_with_sessions, put_replica(), put_replica("q"))
    assert _list(book_with_sessions) == [replica()]
    assert _list(book_with_sessions, participant_id="q") == [replica("q")]
    assert _list(book_with_sessions, participant_id="nobody") == []
    assert _list(book_with_sessions, stage_arn=OTHER_ARN) == []


async def test_a_stopped_replica_stays_listed_and_is_not_active(book_with_sessions: Book) -> None:
    await commit(book_with_sessions, put_replica(), put_replica("q"))
    await commit(book_with_sessions, put_replica(state=STOPPED))
    assert _list(book_with_sessions) == [replica(state=STOPPED)]
    assert book_with_sessions.list_active_replicas() == [replica("q")]


async def test_a_replica_that_is_started_again_keeps_its_row(book_with_sessions: Book) -> None:
    await commit(book_with_sessions, put_replica(), put_replica(state=STOPPED), put_replica())
    assert _list(book_with_sessions) == [replica()]
    assert book_with_sessions.list_active_replicas() == [replica()]


async def test_a_new_source_or_destination_session_makes_a_new_row_listed_first(book_with_sessions: Book) -> None:
    first = replica(state=STOPPED)
    new_destination = replica(destination=(OTHER_ARN, LATER_SESSION), state=STOPPED)
    new_source = replica(source=(ARN, LATER_SESSION), destination=(OTHER_ARN, LATER_SESSION))
    await commit(
        book_with_sessions, put_replica(), put_replica(state=STOPPED), end_session(OTHER_SESSION, arn=OTHER_ARN)
    )
    await commit(book_with_sessions, open_session(LATER_SESSION, arn=OTHER_ARN), PutReplica(replica=new_destination))
    await commit(book_with_sessions, end_session(), open_session(LATER_SESSION), PutReplica(replica=new_source))
    assert _list(book_with_sessions) == [new_source, new_destination, first]
    assert book_with_sessions.list_active_replicas() == [new_source]
    seen: list[Replica] = []
    page = book_with_sessions.list_replicas(ARN, "p", after=None, limit=1)
    while page.next_position is not None:
        seen += page.items
        page = book_with_sessions.list_replicas(ARN, "p", after=page.next_position, limit=1)
    assert seen + page.items == [new_source, new_destination, first]


async def test_a_replica_can_stop_after_its_sessions_have_ended(books: Books) -> None:
    book = books.open()
    await _open_both(book)
    await commit(book, put_replica())
    await book.close()
    book = books.open()
    assert book.list_active_replicas() == [replica()]
    await commit(book, end_session(), end_session(OTHER_SESSION, arn=OTHER_ARN), put_replica(state=STOPPED))
    assert book.list_active_replicas() == []
    assert _list(book) == [replica(state=STOPPED)]


@pytest.mark.parametrize(
    "wrong",
    [
        replica(source=(ARN + "X", SESSION)),
        replica(source=(ARN, LATER_SESSION)),
        replica(destination=(OTHER_ARN + "X", OTHER_SESSION)),
        replica(destination=(OTHER_ARN, SESSION)),
    ],
    ids=["source stage", "source session", "destination stage", "destination session"],
)
async def test_a_replica_of_a_session_that_does_not_exist_refuses_the_whole_transaction(
    book_with_sessions: Book, wrong: Replica
) -> None:
    with pytest.raises(ChangeRefusedError, match=r"there is no stage|has no session"):
        book_with_sessions.submit([append("p"), put_replica(), PutReplica(replica=wrong)])
    await commit(book_with_sessions)
    assert book_with_sessions.list_active_replicas() == []
    assert book_with_sessions.list_events(ARN, SESSION, "p") == []


async def test_a_replica_of_a_refused_session_is_refused(book_with_sessions: Book) -> None:
    with pytest.raises(ChangeRefusedError):
        book_with_sessions.submit([end_session(), open_session(LATER_SESSION), append("nobody")])
    with pytest.raises(ChangeRefusedError, match="has no session"):
        book_with_sessions.submit([PutReplica(replica=replica(source=(ARN, LATER_SESSION)))])


async def test_a_deleted_source_stage_lists_no_replicas_but_active_ones_are_still_found(
    book_with_sessions: Book,
) -> None:
    await commit(book_with_sessions, put_replica(), DeleteStage(stage_arn=ARN, at_ms=NOON_MS))
    assert _list(book_with_sessions) == []
    assert book_with_sessions.list_active_replicas() == [replica()]
    await commit(book_with_sessions, put_replica(state=STOPPED))
    assert book_with_sessions.list_active_replicas() == []


async def test_deleting_the_destination_stage_keeps_the_replicas_of_the_source(book_with_sessions: Book) -> None:
    await commit(book_with_sessions, put_replica(), DeleteStage(stage_arn=OTHER_ARN, at_ms=NOON_MS))
    assert _list(book_with_sessions) == [replica()]


async def test_the_replicas_of_deleted_stages_can_be_shown(books: Books) -> None:
    book = books.open(show_deleted_history=True)
    await _open_both(book)
    await commit(book, put_replica(), DeleteStage(stage_arn=ARN, at_ms=NOON_MS))
    assert _list(book) == [replica()]


async def test_a_stage_that_does_not_exist_has_no_replicas(book: Book) -> None:
    assert _list(book) == []
    assert book.list_active_replicas() == []
