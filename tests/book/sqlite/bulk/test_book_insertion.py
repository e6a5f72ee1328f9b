"""An insertion is durable as a whole or has not happened, and a server goes on after it."""

from pathlib import Path

import pytest

from stagebook.book.book_errors import BookFailedError
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.bulk import book_insertion
from stagebook.book.sqlite.bulk.book_insertion import BookInsertion
from stagebook.stage.events import Event, EventName
from stagebook.stage.resources import ParticipantRecord, StageSession
from tests.audit.sound_book import require_sound
from tests.book.sample import (
    ARN,
    NOON_MS,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    end_session,
    open_book,
    open_session,
    put,
    read_secret,
    replica,
    stage,
)

SEQUENCE = NOON_MS << SEQUENCE_TIME_SHIFT
JOINED, LEFT = Event(name=EventName.JOINED), Event(name=EventName.LEFT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book.sqlite3"


def insert(insertion: BookInsertion) -> None:
    """Insert an ended session with one participant."""
    stage_key, session_key = insertion.add_stage(stage()), insertion.add_session()
    session = StageSession(stage_arn=ARN, session_id=SESSION, start_ms=NOON_MS, end_ms=NOON_MS)
    insertion.put_session(session_key, stage_key, session)
    insertion.add_event(session_key, 1, SEQUENCE + 5, JOINED)
    insertion.add_event(session_key, 1, SEQUENCE + 9, LEFT)
    insertion.put_participant(session_key, 1, ParticipantRecord(participant_id="p", first_join_ms=NOON_MS))


async def test_what_is_committed_has_its_sequence_numbers_and_a_server_goes_on(path: Path) -> None:
    with BookLock.take(path) as lock, BookInsertion(path, lock, read_secret=read_secret) as insertion:
        insert(insertion)
        insertion.commit()
    require_sound(path)
    book = open_book(path)
    assert book.last_sequence() == SEQUENCE + 9
    assert [entry.sequence for entry in book.list_events(ARN, SESSION, "p")] == [SEQUENCE + 5, SEQUENCE + 9]
    later = {"session_id": OTHER_SESSION}
    await commit(book, open_session(OTHER_SESSION, start_ms=NOON_MS), put("p", **later))
    (sequence, left) = await commit(
        book, append("p", at_ms=NOON_MS, session_id=OTHER_SESSION), append("p", LEFT, session_id=OTHER_SESSION)
    )
    assert (sequence, left) == (SEQUENCE + 10, SEQUENCE + 11)
    await commit(book, end_session(OTHER_SESSION))
    assert [each.session_id for each in book.list_sessions(ARN, after=None, limit=9).items] == [OTHER_SESSION, SESSION]
    await book.close()


def test_what_is_not_committed_has_not_happened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_insertion, "ROWS_PER_GROUP", 1)
    with BookLock.take(path) as lock:
        with BookInsertion(path, lock, read_secret=read_secret) as insertion:
            insert(insertion)
        assert not path.exists(), "the insertion has created the book"
        with BookInsertion(path, lock, read_secret=read_secret) as insertion:
            insertion.commit()
        before = path.read_bytes()
        with BookInsertion(path, lock, read_secret=read_secret) as insertion:
            insert(insertion)
        assert path.read_bytes() == before
        assert not path.with_name(f"{path.name}-wal").exists()


def test_a_statement_that_fails_is_reported(path: Path) -> None:
    with BookLock.take(path) as lock, BookInsertion(path, lock, read_secret=read_secret) as insertion:
        insert(insertion)
        insertion.add_event(1, 1, SEQUENCE + 9, LEFT)
        with pytest.raises(BookFailedError, match="cannot be written"):
            insertion.commit()
        with pytest.raises(BookFailedError, match="no session"):
            insertion.put_replica(replica())


def test_what_the_book_has_is_found(path: Path) -> None:
    with BookLock.take(path) as lock:
        with BookInsertion(path, lock, read_secret=read_secret) as insertion:
            insert(insertion)
            insertion.commit()
        with BookInsertion(path, lock, read_secret=read_secret) as insertion:
            found = insertion.find_stage(ARN)
            assert found is not None
            session = insertion.find_session(found.key, SESSION)
            assert session is not None
            assert insertion.last_session(found.key) == (SESSION, NOON_MS)
            assert insertion.count_events(session.key) == 2
            assert insertion.participant_numbers(session.key) == {"p": 1}
            assert [each.event for each in insertion.participant_events(session.key, "p")] == [JOINED, LEFT]
            assert insertion.participant_events(session.key, "q") == []
            assert list(insertion.find_events([SEQUENCE + 5, SEQUENCE + 6])) == [SEQUENCE + 5]
            assert insertion.last_sequence == SEQUENCE + 9
