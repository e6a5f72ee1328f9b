"""Opening a book: a new file is created, an older one is migrated, every other file is refused with a remedy."""

from functools import partial
from pathlib import Path

import apsw
import pytest

from stagebook.book.book_errors import BookRefusedError
from stagebook.book.sqlite.book_connection import check_sqlite_version, open_for_reading, open_for_writing
from stagebook.book.sqlite.schema import APPLICATION_ID, MIGRATIONS
from tests.book.sample import SEAL

NEXT_MIGRATION = "ALTER TABLE stage ADD COLUMN colour TEXT"


open_with_seal = partial(open_for_writing, seal=SEAL)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book"


def test_a_new_book_has_the_application_id_and_the_newest_version(path: Path) -> None:
    connection = open_for_writing(path, seal=SEAL)
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("user_version") == len(MIGRATIONS)
    connection.close()


def test_the_writer_uses_a_synced_write_ahead_log(path: Path) -> None:
    connection = open_for_writing(path, seal=SEAL)
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2  # FULL
    assert connection.pragma("fullfsync") == 1
    connection.close()


def test_the_temporary_stores_of_the_writers_statements_are_in_memory(path: Path) -> None:
    connection = open_for_writing(path, seal=SEAL)
    assert connection.pragma("temp_store") == 2  # MEMORY
    connection.close()


def test_a_reader_cannot_write(path: Path) -> None:
    open_for_writing(path, seal=SEAL).close()
    connection = open_for_reading(path)
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("DELETE FROM stage")
    connection.close()


def test_a_migration_keeps_the_rows(path: Path) -> None:
    connection = open_for_writing(path, seal=SEAL)
    connection.execute("INSERT INTO stage VALUES (1, 'arn', 'account', 'name', 0, '{}', '{}', NULL)")
    connection.close()
    connection = open_for_writing(path, migrations=[*MIGRATIONS, NEXT_MIGRATION], seal=SEAL)
    assert connection.pragma("user_version") == len(MIGRATIONS) + 1
    assert connection.execute("SELECT arn, colour FROM stage").fetchall() == [("arn", None)]
    connection.close()


def test_a_failing_migration_changes_nothing(path: Path) -> None:
    open_for_writing(path, seal=SEAL).close()
    with pytest.raises(BookRefusedError, match="cannot be opened"):
        open_for_writing(
            path, migrations=[*MIGRATIONS, NEXT_MIGRATION + "; ALTER TABLE nonsense ADD COLUMN x TEXT"], seal=SEAL
        )
    connection = open_for_writing(path, seal=SEAL)
    assert connection.pragma("user_version") == len(MIGRATIONS)
    assert "colour" not in [row[1] for row in connection.execute("PRAGMA table_info (stage)").fetchall()]
    connection.close()


def test_a_reader_does_not_migrate(path: Path) -> None:
    open_for_writing(path, seal=SEAL).close()
    with pytest.raises(BookRefusedError, match="start the server once"):
        open_for_reading(path, migrations=[*MIGRATIONS, NEXT_MIGRATION])


@pytest.mark.parametrize("version", [len(MIGRATIONS) + 1, 1_000])
def test_a_newer_book_is_refused_and_unchanged(path: Path, version: int) -> None:
    connection = open_for_writing(path, seal=SEAL)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = path.read_bytes()
    for opening in (open_with_seal, open_for_reading):
        with pytest.raises(BookRefusedError, match=f"version {version}.*newer Stagebook"):
            opening(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE other (x)",
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 1; CREATE TABLE t (x)",
    ],
)
def test_a_database_of_another_program_is_refused_and_unchanged(path: Path, script: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(script)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(BookRefusedError, match="another program"):
        open_for_writing(path, seal=SEAL)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_unchanged(path: Path) -> None:
    path.write_text("plain text " * 1_000)
    with pytest.raises(BookRefusedError, match="not a SQLite database"):
        open_for_writing(path, seal=SEAL)
    assert path.read_text().startswith("plain text")


def test_a_damaged_book_is_refused(path: Path) -> None:
    open_for_writing(path, seal=SEAL).close()
    damaged = bytearray(path.read_bytes())
    damaged[100:4096] = bytes(3996)
    path.write_bytes(damaged)
    with pytest.raises(BookRefusedError, match=r"damaged.*backup"):
        open_for_writing(path, migrations=[*MIGRATIONS, NEXT_MIGRATION], seal=SEAL)


def test_an_empty_file_becomes_a_book(path: Path) -> None:
    path.touch()
    connection = open_for_writing(path, seal=SEAL)
    assert connection.pragma("application_id") == APPLICATION_ID
    connection.close()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BookRefusedError, match="cannot be opened"):
        open_for_writing(tmp_path / "nowhere" / "book", seal=SEAL)


@pytest.mark.parametrize("version", ["3.7.0", "3.40.1", "3.51.2"])
def test_a_sqlite_that_can_corrupt_a_book_is_refused(version: str) -> None:
    with pytest.raises(BookRefusedError, match=r"3\.51\.3 or newer"):
        check_sqlite_version(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "4.0.0"])
def test_a_sqlite_without_the_bug_is_accepted(version: str) -> None:
    check_sqlite_version(version)
