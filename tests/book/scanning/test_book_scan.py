"""A scan reads a book in one pass: along primary keys, without sorting, and with little memory."""

import asyncio
import re
import tracemalloc
from pathlib import Path

import apsw
import pytest

from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import Change
from stagebook.book.scanning import book_scan
from stagebook.book.scanning.book_scan import BookScan
from stagebook.stage.resources import ParticipantRecord
from tests.book.sample import NOON_MS, append, commit, open_book, open_session, put, put_stage

LARGE, SMALL = 4_000, 1_000


def write_participants(path: Path, count: int) -> Path:
    """Write a book with one open session and this many participants, each with two events."""

    async def write() -> None:
        book = open_book(path)
        await commit(book, put_stage(), open_session())
        for first in range(0, count, 500):
            changes: list[Change] = []
            for number in range(first, first + 500):
                changes += [put(f"p{number}"), append(f"p{number}", at_ms=NOON_MS + number)]
            await commit(book, *changes)
        await book.close()

    asyncio.run(write())
    return path


def test_participants_come_with_their_events_oldest_first(tmp_path: Path) -> None:
    path = write_participants(tmp_path / "book.sqlite3", 500)
    with BookScan(path) as scan:
        (session,) = scan.sessions()
        numbers = []
        for participant in scan.participants():
            (event,) = participant.events
            assert isinstance(event, RecordedEvent)
            assert isinstance(participant.record, ParticipantRecord)
            assert participant.session_key == session.key
            assert event.participant_id == participant.record.participant_id
            numbers.append(participant.number)
        assert numbers == list(range(500, 0, -1))


def test_events_that_are_not_consumed_are_skipped(tmp_path: Path) -> None:
    path = write_participants(tmp_path / "book.sqlite3", 500)
    with BookScan(path) as scan:
        assert sum(1 for _ in scan.participants()) == 500


@pytest.mark.parametrize(
    "name", ["_SESSIONS", "_PARTICIPANTS", "_EVENTS", "_OPEN_EVENTS", "_STOPS", "_DOUBLE_SEQUENCES"]
)
def test_no_statement_sorts(tmp_path: Path, name: str) -> None:
    connection = apsw.Connection(str(write_participants(tmp_path / "book.sqlite3", 500)))
    statement = getattr(book_scan, name)
    parameters = (1,) * statement.count("?")
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    connection.close()
    assert not [step for step in plan if re.search("TEMP B-TREE|AUTOMATIC", step)], plan


def scan_memory(path: Path) -> int:
    """Return the peak of Python's memory during a scan, in bytes."""
    tracemalloc.start()
    with BookScan(path) as scan:
        for participant in scan.participants():
            assert sum(1 for _ in participant.events) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_the_memory_does_not_grow_with_the_book(tmp_path: Path) -> None:
    scan_memory(write_participants(tmp_path / "warm.sqlite3", 500))
    small, large = (scan_memory(write_participants(tmp_path / str(count), count)) for count in (SMALL, LARGE))
    assert large < small + 100_000
