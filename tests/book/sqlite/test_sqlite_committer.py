"""What a commit of a group writes to a SQLite book, and the work between two commits."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from stagebook.book.book_errors import BookBusyError
from stagebook.book.sqlite.open_events import MAXIMUM_UNNOTED_EVENTS
from stagebook.book.tables.change_rows import EVENTS
from stagebook.book.tables.queries import LAST_SEQUENCE
from tests.book.writer_fixture import WriterFixture, running_writer


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncIterator[WriterFixture]:
    async with running_writer(tmp_path / "book") as fixture:
        yield fixture


def wal_pages(connection: apsw.Connection) -> int:
    """Return how many pages the write-ahead log has (sqlite.org/pragma.html, wal_checkpoint)."""
    rows: list[Any] = connection.execute("PRAGMA wal_checkpoint(NOOP)").fetchall()
    pages: int = rows[0][1]
    return pages


async def test_the_sequencer_is_stored_with_the_group(fixture: WriterFixture) -> None:
    fixture.put(name='"one"')
    await fixture.put(name='"two"')
    assert fixture.reader.execute("SELECT last_sequence FROM sequencer").fetchall() == [(2,)]


async def test_the_number_of_an_event_is_not_stored_twice(fixture: WriterFixture) -> None:
    """Its row has it. To write it to the sequencer as well would cost a page of the log for each event."""
    await fixture.put_event(sequence=7)
    assert fixture.reader.execute("SELECT last_sequence FROM sequencer").fetchall() == [(0,)]
    assert fixture.reader.execute(LAST_SEQUENCE).fetchall() == [(7,)]


async def test_an_event_changes_the_page_of_its_row_and_that_of_the_log_index(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    before = wal_pages(fixture.connection)
    await fixture.put_event(sequence=2)
    assert wal_pages(fixture.connection) - before == 2


@pytest.fixture
def statements(fixture: WriterFixture) -> list[str]:
    """The first words of the statements that commits need."""
    statements: list[str] = []

    def note(_cursor: apsw.Cursor, statement: str, _bindings: object) -> bool:
        statements.append(statement.split()[0])
        return True

    fixture.connection.exec_trace = note
    return statements


async def test_the_commit_of_an_event_is_one_statement(fixture: WriterFixture, statements: list[str]) -> None:
    await fixture.put_event(sequence=1)
    assert statements == ["INSERT"]


async def test_several_statements_are_one_transaction(fixture: WriterFixture, statements: list[str]) -> None:
    await fixture.put(name='"one"')
    assert statements == ["BEGIN", "INSERT", "UPDATE", "COMMIT"]


async def test_what_is_open_is_noted_for_many_events_at_once(fixture: WriterFixture) -> None:
    for sequence in range(1, MAXIMUM_UNNOTED_EVENTS):
        durable = fixture.put_event(sequence=sequence)
    await durable
    assert fixture.noted() == (0, 0)
    await fixture.put_event(sequence=MAXIMUM_UNNOTED_EVENTS)
    assert fixture.noted() == (MAXIMUM_UNNOTED_EVENTS, MAXIMUM_UNNOTED_EVENTS)


async def test_a_start_and_its_end_are_noted_together_without_a_row(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    await fixture.writer.put([(EVENTS, "[1,1,2,1,null,null,0,null,null,null]")], 2, 2)  # LEFT
    await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    assert fixture.noted() == (0, 2)


async def test_an_end_and_another_start_renew_the_number_of_what_is_open(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    for sequence, name in ((2, 1), (3, 0)):  # LEFT, JOINED
        await fixture.writer.put([(EVENTS, f"[1,1,{sequence},{name},null,null,0,null,null,null]")], sequence, sequence)
    await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    assert fixture.reader.execute("SELECT sequence, open_count FROM open_event").fetchall() == [(3, 1)]


async def test_what_is_open_is_noted_when_the_writer_stops(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    await fixture.writer.stop()
    assert fixture.noted() == (1, 1)


async def test_what_is_open_is_noted_before_rows_are_deleted(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    await fixture.writer.when_idle(lambda _connection: None)
    assert fixture.noted() == (0, 0)
    await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    assert fixture.noted() == (1, 1)


async def test_what_could_not_be_noted_is_noted_later(fixture: WriterFixture) -> None:
    await fixture.put_event(sequence=1)
    fixture.other.execute("BEGIN IMMEDIATE")  # blocks the writer
    with pytest.raises(BookBusyError):
        await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    fixture.other.execute("COMMIT")
    await fixture.writer.when_idle(lambda _connection: None, needs_open_events=True)
    assert fixture.noted() == (1, 1)


async def test_idle_work_does_not_wait_for_the_lock_of_another_program(fixture: WriterFixture) -> None:
    def begin(connection: apsw.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")

    fixture.other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BookBusyError):
        await fixture.writer.when_idle(begin)
    fixture.other.execute("COMMIT")
    await fixture.put(name='"one"')
    assert fixture.count() == 1


async def test_idle_work_on_a_full_disk_is_undone_and_the_book_goes_on(fixture: WriterFixture) -> None:
    def grow(connection: apsw.Connection) -> None:
        pages = connection.pragma("page_count")
        connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        try:
            connection.execute("BEGIN IMMEDIATE; UPDATE sequencer SET last_sequence = 9")
            connection.execute("CREATE TABLE other AS SELECT zeroblob(1000000)")
        finally:
            connection.execute("PRAGMA max_page_count = 1000000").fetchall()

    with pytest.raises(BookBusyError):
        await fixture.writer.when_idle(grow)
    assert fixture.reader.execute("SELECT last_sequence FROM sequencer").fetchall() == [(0,)]
    await fixture.put(name='"one"')
    assert fixture.count() == 1
