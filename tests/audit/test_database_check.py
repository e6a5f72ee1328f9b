"""A check of a PostgreSQL book finds what a check of the same SQLite book finds."""

from pathlib import Path

import apsw
import psycopg
import pytest

from stagebook.audit.book_check import CheckedBook, check_book
from stagebook.audit.book_rules import Violation
from stagebook.book.book_errors import BookRefusedError
from stagebook.book.book_source import BookSource, DatabaseSource
from stagebook.cli.command_line import main
from tests.book.copying.full_book import write_full_book
from tests.cli.written_book import write_book

BROKEN = """
DELETE FROM resource WHERE resource_type = 'ingest-configuration';
INSERT INTO event SELECT 99, 1, sequence, 0, NULL, NULL, 0, NULL, NULL, NULL FROM event WHERE participant_number = 1;
UPDATE composition_event SET composition_key = 5;
DELETE FROM open_event;
UPDATE resource SET value = '{' WHERE resource_key = 1;
INSERT INTO revocation VALUES (55, 'nobody', 1, '');
UPDATE participant SET rest = '[' WHERE session_key = 1 AND number = 1;
"""


def found(source: BookSource) -> tuple[CheckedBook, list[Violation]]:
    """Return what a check finds, in one order: statements without ORDER BY yield rows in the order of their plans."""
    violations: list[Violation] = []
    return check_book(source, violations.append), sorted(violations, key=repr)


def copied(folder: Path, url: str) -> DatabaseSource:
    assert main(["book", "copy", "--from", f"sqlite:{folder}", "--to", url]) == 0
    return DatabaseSource(url=url)


def test_everything_that_is_wrong_is_found_in_both_stores(postgres_url: str, tmp_path: Path) -> None:
    path = write_full_book(tmp_path / "book.sqlite3")
    connection = apsw.Connection(str(path))
    connection.execute(BROKEN).fetchall()
    connection.close()
    counts, violations = found(path)
    assert {each.rule for each in violations} >= {"sequence", "references", "values", "open-events"}
    assert found(copied(path, postgres_url)) == (counts, violations)


def test_a_check_reads_one_moment_with_cursors(postgres_url: str, tmp_path: Path) -> None:
    write_book(tmp_path / "data")
    source = copied(tmp_path / "data", postgres_url)
    counts, _ = found(source)
    seen = 0

    def delete(_: CheckedBook) -> None:
        nonlocal seen
        seen += 1
        with psycopg.connect(postgres_url) as connection:
            connection.execute("DELETE FROM event")

    assert (check_book(source, lambda _: None, advance=delete).events, seen) == (counts.events, counts.participants)


def test_a_database_without_a_book_is_refused(postgres_url: str) -> None:
    with pytest.raises(BookRefusedError, match="has no book"):
        check_book(DatabaseSource(url=postgres_url), lambda _: None)
