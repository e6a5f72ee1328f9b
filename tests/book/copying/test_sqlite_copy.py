"""A book is copied from SQLite to SQLite: the same rows, indexes and counters, or no book at all."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.copying.book_copy import RowDifference, Step, compare_books, copy_rows
from stagebook.book.copying.copied_tables import COPIED_TABLES, CopiedTable
from stagebook.book.copying.copy_ports import CHUNK_ROWS
from stagebook.book.copying.sqlite_copy import PARTIAL_SUFFIX, SqliteSource, SqliteTarget
from stagebook.book.sqlite.book_lock import BookLock
from tests.book.copying.full_book import NoProgress, write_full_book
from tests.book.sample import commit, open_book, put_resource


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return write_full_book(tmp_path / "source" / "book.sqlite3")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target" / "book.sqlite3"


def copy(source: Path, target: Path, *, progress: NoProgress | None = None) -> list[RowDifference]:
    found: list[RowDifference] = []
    progress = progress or NoProgress()
    with SqliteSource(source, while_running=False) as of, SqliteTarget(target) as to:
        copy_rows(of, to, progress)
        compare_books(of, to, found.append, progress)
        if not found:
            to.complete()
    return found


def compared(source: Path, target: Path) -> list[RowDifference]:
    found: list[RowDifference] = []
    with SqliteSource(source, while_running=False) as of, SqliteSource(target, while_running=False) as to:
        compare_books(of, to, found.append, NoProgress())
    return found


def change(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement).fetchall()
    connection.close()


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, read without the code of copies, and the schema."""
    connection = apsw.Connection(str(path))
    tables = [*(table.name for table in COPIED_TABLES), "sqlite_sequence"]
    found: dict[str, list[tuple[Any, ...]]] = {}
    for table in tables:
        found[table] = sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)  # noqa: S608 - a constant
    found["schema"] = sorted(connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall(), key=repr)
    found["header"] = [
        (connection.pragma(name),) for name in ("application_id", "user_version", "auto_vacuum", "journal_mode")
    ]
    connection.close()
    return found


def test_every_row_and_counter_is_the_same(source: Path, target: Path) -> None:
    assert copy(source, target) == []
    rows = dump(source)
    assert dump(target) == rows
    assert all(rows[table.name] for table in COPIED_TABLES), "the test needs rows in every table"
    assert compared(source, target) == []


def test_the_copy_is_one_private_file(source: Path, target: Path) -> None:
    copy(source, target)
    assert sorted(path.name for path in target.parent.iterdir()) == ["book.sqlite3", "book.sqlite3.lock"]
    assert target.stat().st_mode & 0o777 == 0o600


async def test_the_key_of_a_deleted_resource_is_not_given_out_again(source: Path, target: Path) -> None:
    counted: dict[str, int] = dict(dump(source)["sqlite_sequence"])
    copy(source, target)
    book = open_book(target)
    await commit(book, put_resource("arn:aws:ivs:us-west-2:123456789012:public-key/later"))
    await book.close()
    assert max(row[0] for row in dump(target)["resource"]) == counted["resource"] + 1


def test_what_the_writer_has_not_noted_as_open_is_copied_as_open(source: Path, target: Path) -> None:
    opened = dump(source)["open_event"]
    change(source, "DELETE FROM open_event; UPDATE sequencer SET noted_sequence = 0")
    assert copy(source, target) == []
    assert dump(target)["open_event"] == opened


@pytest.mark.parametrize(
    ("statement", "kind", "table"),
    [
        ("UPDATE event SET cause = 3 WHERE participant_number = 1 AND name = 0", "different", "event"),
        ("DELETE FROM replica", "missing", "replica"),
        ("INSERT INTO expired_session VALUES (5)", "added", "expired_session"),
        ("UPDATE sqlite_sequence SET seq = 4 WHERE name = 'resource'", "different", "key counters"),
    ],
)
def test_a_target_that_was_changed_is_found(source: Path, target: Path, statement: str, kind: str, table: str) -> None:
    copy(source, target)
    change(target, statement)
    assert {(each.kind, each.table) for each in compared(source, target)} == {(kind, table)}


class FailingProgress(NoProgress):
    """Fails after all rows were copied."""

    def __call__(self, step: Step, table: CopiedTable, rows: int) -> None:
        """Raise ZeroDivisionError at the first comparison."""
        if step == "compared":
            raise ZeroDivisionError
        super().__call__(step, table, rows)


def test_a_copy_that_fails_leaves_no_book_and_can_be_repeated(source: Path, target: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        copy(source, target, progress=FailingProgress())
    assert [path.name for path in target.parent.iterdir()] == ["book.sqlite3.lock"]
    assert copy(source, target) == []


def test_what_a_killed_copy_has_left_is_replaced(source: Path, target: Path) -> None:
    target.with_name(target.name + PARTIAL_SUFFIX).write_bytes(b"a part of a book")
    assert copy(source, target) == []
    assert dump(target) == dump(source)


def test_a_book_with_anything_in_it_is_not_replaced(source: Path, target: Path) -> None:
    copy(source, target)
    with pytest.raises(BookRefusedError, match="has rows in table stage: a book is copied only to where no book is"):
        copy(source, target)
    with pytest.raises(BookRefusedError, match="has rows in table stage"):
        copy(target, source)


async def test_an_empty_book_is_replaced_with_its_log(source: Path, target: Path) -> None:
    await open_book(target).close()
    target.with_name(target.name + "-wal").write_bytes(b"")
    assert copy(source, target) == []
    assert dump(target) == dump(source)


def test_a_book_in_use_is_refused_as_the_source_and_as_the_target(source: Path, target: Path) -> None:
    with BookLock.take(source), pytest.raises(BookRefusedError, match="--while-running"):
        copy(source, target)
    with BookLock.take(target), pytest.raises(BookRefusedError, match="already open for writing"):
        copy(source, target)


async def test_a_running_book_is_copied_as_it_is_at_one_moment(source: Path, target: Path) -> None:
    before = dump(source)
    book = open_book(source)
    with SqliteSource(source, while_running=True) as of, SqliteTarget(target) as to:
        await commit(book, put_resource("arn:aws:ivs:us-west-2:123456789012:public-key/later"))
        copy_rows(of, to, NoProgress())
        found: list[RowDifference] = []
        compare_books(of, to, found.append, NoProgress())
        to.complete()
    await book.close()
    assert (found, dump(target)["resource"]) == ([], before["resource"])


def test_damage_of_the_source_ends_the_copy(source: Path, target: Path) -> None:
    change(source, "UPDATE event SET extra = x'ff' WHERE extra IS NOT NULL")
    with pytest.raises(BookFailedError, match="is damaged"):
        copy(source, target)
    assert not target.exists()


def test_rows_come_in_chunks(source: Path) -> None:
    table = next(each for each in COPIED_TABLES if each.name == "revocation")
    change(
        source,
        "INSERT INTO revocation WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " SELECT 9, 'p' || i, i, '' FROM n",
    )
    with SqliteSource(source, while_running=False) as of:
        sizes = [len(chunk) for chunk in of.chunks(table)]
    assert sizes == [CHUNK_ROWS, CHUNK_ROWS, 5_001 - 2 * CHUNK_ROWS]
