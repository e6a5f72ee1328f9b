"""The event log of a SQLite book: every event once, in the order of the sequence numbers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stagebook.book.event_id import sequence_of_event
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_event_log import SqliteEventLog
from stagebook.stage.events import EventName
from tests.book.sample import (
    ACCOUNT,
    ARN,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    commit,
    open_book,
    open_session,
    put,
    put_stage,
)


@pytest.fixture
async def book(tmp_path: Path) -> SqliteBook:
    return open_book(tmp_path / "book")


@pytest.fixture
def log(book: SqliteBook, tmp_path: Path) -> Iterator[SqliteEventLog]:  # noqa: ARG001 - the book makes the file
    log = SqliteEventLog.open(tmp_path / "book")
    yield log
    log.close()


async def write_two_sessions(book: SqliteBook) -> list[int]:
    """Write events of two participants on two stages by turns; return their sequence numbers."""
    await commit(book, put_stage(), put_stage(OTHER_ARN), open_session(), open_session(OTHER_SESSION, arn=OTHER_ARN))
    await commit(book, put("p"), put("q", arn=OTHER_ARN, session_id=OTHER_SESSION))
    sequences: list[int] = []
    for name in (EventName.JOINED, EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED, EventName.LEFT):
        sequences += await commit(book, append("p", name), append("q", name, arn=OTHER_ARN, session_id=OTHER_SESSION))
    return sequences


async def test_events_of_all_sessions_come_in_the_order_of_their_numbers(book: SqliteBook, log: SqliteEventLog) -> None:
    sequences = await write_two_sessions(book)
    events = log.read_after(0, limit=100)
    assert [each.sequence for each in events] == sequences == sorted(sequences)
    assert [(each.participant_id, each.stage_arn, each.session_id) for each in events[:2]] == [
        ("p", ARN, SESSION),
        ("q", OTHER_ARN, OTHER_SESSION),
    ]
    assert {each.account_id for each in events} == {ACCOUNT}
    assert [sequence_of_event(each.event_id) for each in events] == sequences
    await book.close()


async def test_a_read_continues_after_a_sequence_number(book: SqliteBook, log: SqliteEventLog) -> None:
    sequences = await write_two_sessions(book)
    found: list[int] = []
    position = 0
    while events := log.read_after(position, limit=3):
        position = events[-1].sequence
        found += [each.sequence for each in events]
    assert found == sequences
    assert [each.sequence for each in log.read_before(sequences[5], limit=3)] == sequences[4:1:-1]
    assert log.last_sequence() == sequences[-1]
    await book.close()


async def test_a_listener_is_called_when_events_are_durable(book: SqliteBook, log: SqliteEventLog) -> None:
    seen: list[int] = []
    book.on_durable(lambda: seen.append(len(log.read_after(0, limit=100))))
    await write_two_sessions(book)
    assert seen[-1] == 8
    await book.close()
