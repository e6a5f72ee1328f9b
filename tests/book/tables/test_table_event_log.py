"""The event log of a book: every event once, in the order of the sequence numbers."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.book.event_id import sequence_of_event
from stagebook.book.event_log import LoggedEvent
from stagebook.book.server_book import ServerBook
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.stage.events import EventName
from tests.book.conftest import Books
from tests.book.sample import (
    ACCOUNT,
    ARN,
    OTHER_ARN,
    OTHER_SESSION,
    SESSION,
    append,
    append_composition,
    commit,
    open_session,
    put,
    put_composition,
    put_stage,
)


@pytest.fixture
def log(book: ServerBook, books: Books) -> Iterator[TableEventLog]:  # noqa: ARG001 - it makes the tables
    log = books.open_event_log()
    yield log
    log.close()


async def write_two_sessions(book: ServerBook) -> list[int]:
    """Write events of two participants on two stages by turns; return their sequence numbers."""
    await commit(book, put_stage(), put_stage(OTHER_ARN), open_session(), open_session(OTHER_SESSION, arn=OTHER_ARN))
    await commit(book, put("p"), put("q", arn=OTHER_ARN, session_id=OTHER_SESSION))
    sequences: list[int] = []
    for name in (EventName.JOINED, EventName.PUBLISH_STARTED, EventName.PUBLISH_STOPPED, EventName.LEFT):
        sequences += await commit(book, append("p", name), append("q", name, arn=OTHER_ARN, session_id=OTHER_SESSION))
    return sequences


async def test_events_of_all_sessions_come_in_the_order_of_their_numbers(book: ServerBook, log: TableEventLog) -> None:
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


async def test_a_read_continues_after_a_sequence_number(book: ServerBook, log: TableEventLog) -> None:
    sequences = await write_two_sessions(book)
    found: list[int] = []
    position = 0
    while events := log.read_after(position, limit=3):
        position = events[-1].sequence
        found += [each.sequence for each in events]
    assert found == sequences
    assert [each.sequence for each in log.read_entries_before(sequences[5], limit=3)] == sequences[4:1:-1]
    assert log.last_sequence() == sequences[-1]
    await book.close()


async def test_a_listener_is_called_when_events_are_durable(book: ServerBook, log: TableEventLog) -> None:
    seen: list[int] = []
    book.on_durable(lambda: seen.append(len(log.read_after(0, limit=100))))
    await write_two_sessions(book)
    assert seen[-1] == 8
    await book.close()


async def test_entries_have_events_of_compositions_in_the_same_order(book: ServerBook, log: TableEventLog) -> None:
    sequences = list(await write_two_sessions(book))
    await commit(book, put_composition())
    sequences += await commit(book, append_composition(), append("p", at_ms=0), append_composition())
    entries = log.read_entries_after(0, limit=100)
    assert [each.sequence for each in entries] == sequences
    assert [isinstance(each, LoggedCompositionEvent) for each in entries[-3:]] == [True, False, True]
    assert [sequence_of_event(each.event_id) for each in entries] == sequences
    assert log.read_entries_at(sequences[::-1]) == entries[::-1]
    assert log.read_entries_at([sequences[-1], 1, sequences[0]]) == [entries[-1], entries[0]]
    await book.close()


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_pages_of_entries_follow_each_other_without_a_gap(
    book: ServerBook, log: TableEventLog, limit: int
) -> None:
    sequences = list(await write_two_sessions(book))
    await commit(book, put_composition())
    for _ in range(3):
        sequences += await commit(book, append_composition(), append("p"), append_composition())
    read: list[int] = []
    while page := log.read_entries_after(read[-1] if read else 0, limit=limit):
        assert len(page) <= limit
        read += [each.sequence for each in page]
    assert read == sequences
    await book.close()


async def test_entries_are_read_as_of_one_moment(book: ServerBook, log: TableEventLog) -> None:
    """What is committed between the two reads must be in neither or both: a reader would skip the earlier event."""
    await commit(book, put_stage(), put_composition(), open_session(), put("p"))
    loop, between = asyncio.get_running_loop(), threading.Event()

    class Interrupted(TableEventLog):
        def _read(self, statement: str, parameters: dict[str, int | str]) -> list[LoggedEvent]:
            rows = super()._read(statement, parameters)
            asyncio.run_coroutine_threadsafe(commit(book, append("p"), append_composition()), loop).result()
            between.set()
            return rows

    interrupted = Interrupted(log._connection)
    assert await asyncio.to_thread(interrupted.read_entries_after, 0, limit=9) == []
    assert between.is_set()
    assert len(log.read_entries_after(0, limit=9)) == 2
    await book.close()
