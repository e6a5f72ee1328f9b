"""The steps of deletion: their size is bounded, and the file becomes smaller while the book is open."""

import resource
from pathlib import Path

import apsw
import pytest

from stagebook.book.sqlite.book_connection import WAL_CHECKPOINT_PAGES, open_for_writing
from stagebook.book.sqlite.retention.sqlite_deletions import SqliteDeletions
from stagebook.book.sqlite.retention.sqlite_retention import PAGES_PER_STEP
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.tables.retention import deletion_steps
from stagebook.book.tables.retention.deletion_steps import DELETE_ROWS_OF_SESSION, delete_expired
from stagebook.book.tables.retention.retention_run import ROWS_PER_STEP, SESSIONS_PER_STEP
from stagebook.stage.events import Event, EventName
from tests.book.retained import LATER_MS, delete_old, policy
from tests.book.sample import ARN, NOON_MS, SEAL, append, commit, end_session, open_book, open_session, put, put_stage
from tests.book.sqlite.test_upgrades import make_book

STAGES = 120
PARTICIPANTS = 4
ROUNDS = 6
PAGES_PER_ROW = 2
"""An event is on one page of its table and on one of the index of sequence numbers."""
PAGE_SIZE_BYTES = 4_096


async def fill(book: SqliteBook) -> int:
    """Record sessions of many stages that went on at the same time; return the number of events.

    Their rows are not beside each other in the index of sequence numbers, which makes deletion most expensive.
    """
    arns = [f"{ARN}{number}" for number in range(STAGES)]
    people = [f"participant-{number:052d}" for number in range(PARTICIPANTS)]
    for arn in arns:
        await commit(book, put_stage(arn), open_session(arn=arn), *[put(person, arn=arn) for person in people])
    for _ in range(ROUNDS):
        for person in people:
            await commit(book, *[append(person, arn=arn) for arn in arns])
    await commit(book, *[end_session(arn=arn) for arn in arns])
    return STAGES * PARTICIPANTS * ROUNDS


def sizes(path: Path) -> tuple[int, int]:
    """Return the size of the book and of its log."""
    return path.stat().st_size, path.with_name(f"{path.name}-wal").stat().st_size


async def test_a_step_writes_a_bounded_number_of_rows_and_pages(tmp_path: Path) -> None:
    book = open_book(tmp_path / "book")
    events = await fill(book)
    pages = [0]
    last = [0]

    def count(_connection: apsw.Connection, _name: str, in_log: int) -> int:
        # A checkpoint that has written the whole log lets the next commit begin it anew.
        pages.append(in_log - last[0] if in_log >= last[0] else in_log)
        last[0] = in_log
        return 0

    book._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    book._writing.set_wal_hook(count)
    rows = [sum(step.rows.values()) async for step in book.delete_old(policy(), now_ms=LATER_MS)]

    # A participant who never left has an open event.
    assert sum(rows) == events + STAGES * (1 + PARTICIPANTS + PARTICIPANTS)
    assert max(rows) <= max(ROWS_PER_STEP, SESSIONS_PER_STEP)
    assert max(pages) <= ROWS_PER_STEP * PAGES_PER_ROW < WAL_CHECKPOINT_PAGES
    await book.close()


async def test_the_file_and_the_log_become_smaller_while_the_book_is_open(tmp_path: Path) -> None:
    path = tmp_path / "book"
    empty = open_book(tmp_path / "empty")
    await empty.close()
    book = open_book(path)
    await fill(book)
    book._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before, _ = sizes(path)
    freed = [step.freed_bytes async for step in book.delete_old(policy(), now_ms=LATER_MS)]

    after, log = sizes(path)
    assert before - after == sum(freed) > before / 2
    assert max(freed) <= PAGES_PER_STEP * PAGE_SIZE_BYTES
    # What is left are the stages.
    assert after < (tmp_path / "empty").stat().st_size + 20 * PAGE_SIZE_BYTES
    assert log == 0
    await book.close()


async def test_what_was_deleted_is_in_no_file_any_more(tmp_path: Path) -> None:
    """Also not in the free space of pages that hold other rows."""
    book = open_book(tmp_path / "book")
    await fill(book)
    words = [b"participant-0000", b"a deleted detail", b"a kept detail"]
    for session_id, detail, end_ms in (("st-old", "a deleted detail", NOON_MS), ("st-new", "a kept detail", LATER_MS)):
        event = Event(name=EventName.JOINED, detail=detail)
        appended = [append("p", event, session_id=session_id) for _ in range(20)]
        await commit(book, put_stage(), open_session(session_id), put("p", session_id=session_id), *appended)
        await commit(book, end_session(session_id, end_ms=end_ms))
    assert found(tmp_path, words) == set(words)

    await delete_old(book)

    assert found(tmp_path, words) == {b"a kept detail"}
    await book.close()


def found(folder: Path, words: list[bytes]) -> set[bytes]:
    """Return which of these words are in the files of a folder."""
    return {word for word in words for file in folder.iterdir() if word in file.read_bytes()}


async def test_a_reader_does_not_hold_up_a_run(tmp_path: Path) -> None:
    """A long read, such as a backup, keeps the log and the size of the file until the run after it."""
    path = tmp_path / "book"
    book = open_book(path)
    await fill(book)
    reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    (counted,) = reader.execute("SELECT count(*) FROM event").fetchall()

    assert (await delete_old(book))["session"] == STAGES

    assert reader.execute("SELECT count(*) FROM event").fetchall() == [counted]
    before, log = sizes(path)
    assert log > 0
    reader.execute("COMMIT")
    assert await delete_old(book) == {}
    assert sizes(path)[0] < before
    assert sizes(path)[1] == 0
    reader.close()
    await book.close()


async def test_the_book_of_an_earlier_version_keeps_its_size_until_it_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "book"
    make_book(path, version=6)
    book = open_book(path)
    could_shrink = book.can_shrink
    await fill(book)
    book._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before, _ = sizes(path)
    await delete_old(book)
    assert (could_shrink, sizes(path)[0]) == (False, before)

    assert await book.make_shrinkable()

    assert sizes(path)[0] < before / 2
    await book.close()
    again = open_book(path)
    assert again.can_shrink
    await again.close()


async def test_a_book_that_cannot_be_rewritten_stays_in_use(tmp_path: Path) -> None:
    path = tmp_path / "book"
    make_book(path, version=6)
    book = open_book(path)
    await fill(book)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * PAGE_SIZE_BYTES, limits[1]))
    try:
        assert not await book.make_shrinkable()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not book.can_shrink
    assert (await delete_old(book))["session"] > STAGES
    await book.close()


def test_the_rows_of_every_table_that_refers_to_a_session_are_deleted_with_it(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "book", seal=SEAL)
    columns = """
    SELECT DISTINCT tables.name FROM sqlite_schema AS tables CROSS JOIN pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' AND columns.name LIKE '%session_key' AND columns.name != 'last_session_key'
    """
    referring = {name for (name,) in connection.execute(columns).fetchall()}
    assert referring == {"session", "expired_session", *DELETE_ROWS_OF_SESSION}
    connection.close()


@pytest.mark.parametrize("table", DELETE_ROWS_OF_SESSION)
def test_each_deletion_is_an_index_search(tmp_path: Path, table: str) -> None:
    connection = open_for_writing(tmp_path / "book", seal=SEAL)
    plan = connection.execute("EXPLAIN QUERY PLAN " + DELETE_ROWS_OF_SESSION[table], (1, 1)).fetchall()
    steps = [str(row[3]) for row in plan]
    assert [step for step in steps if step.startswith("SCAN")] == []
    connection.close()


@pytest.mark.parametrize("statement", ["DELETE_REVOCATIONS", "DELETE_CONNECTION_REVOCATIONS"])
def test_each_deletion_of_revocations_is_an_index_search(tmp_path: Path, statement: str) -> None:
    connection = open_for_writing(tmp_path / "book", seal=SEAL)
    plan = connection.execute("EXPLAIN QUERY PLAN " + getattr(deletion_steps, statement), (1, 1, 1)).fetchall()
    assert [str(row[3]) for row in plan if str(row[3]).startswith("SCAN")] == []
    connection.close()


def test_a_step_that_fails_is_undone(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "book", seal=SEAL)
    connection.execute("INSERT INTO expired_session VALUES (1)")
    connection.execute("INSERT INTO participant VALUES (1, 1, 'p', '', 0, 0, NULL, NULL, NULL, NULL, NULL)")
    connection.execute("CREATE TRIGGER no BEFORE DELETE ON expired_session BEGIN SELECT RAISE (ABORT, 'no'); END")
    with pytest.raises(apsw.ConstraintError):
        delete_expired(SqliteDeletions(connection), 9)
    assert connection.in_transaction, "the writer ends the transaction"
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM participant").fetchall() == [(1,)]
    connection.close()
