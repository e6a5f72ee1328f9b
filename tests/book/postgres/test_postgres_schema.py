"""Migrations: once, by whoever comes first, and which versions may use a book."""

import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import (
    POSTGRES_MIGRATIONS,
    PostgresMigration,
    migrate,
    read_book_info,
    require_schema,
)

NUMBER = len(POSTGRES_MIGRATIONS)
ADDITIVE = PostgresMigration(statements="CREATE TABLE added (number integer)", minimum_version=NUMBER)
EXCLUDING = PostgresMigration(statements="DROP TABLE revocation", minimum_version=NUMBER + 1)
START = (
    "import sys; from stagebook.book.postgres.postgres_connection import PostgresConnection\n"
    "from stagebook.book.postgres.postgres_schema import migrate\n"
    "connection = PostgresConnection(sys.argv[1]); print('ready', flush=True); sys.stdin.read()\n"
    "print(migrate(connection).version, flush=True)"
)


def test_several_nodes_start_on_an_empty_database_at_the_same_time(postgres_url: str) -> None:
    nodes = [
        subprocess.Popen(
            (sys.executable, "-c", START, postgres_url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(4)
    ]
    for node in nodes:
        assert node.stdout is not None
        assert node.stdout.readline() == "ready\n"
    for node in nodes:
        assert node.stdin is not None
        node.stdin.close()
    outputs = []
    for node in nodes:
        assert node.stdout is not None
        with node:
            outputs.append(node.stdout.read())
    assert outputs == [f"{NUMBER}\n"] * 4


def test_a_migration_is_applied_once(connection: PostgresConnection) -> None:
    newer = (*POSTGRES_MIGRATIONS, ADDITIVE)
    info = migrate(connection, newer)
    assert (info.version, info.minimum_version) == (NUMBER + 1, NUMBER)
    assert migrate(connection, newer) == info


def test_the_version_before_an_additive_migration_uses_the_book(connection: PostgresConnection) -> None:
    newer = migrate(connection, (*POSTGRES_MIGRATIONS, ADDITIVE))
    assert migrate(connection) == newer
    assert require_schema(connection) == newer


def test_a_version_that_a_migration_excludes_is_refused(connection: PostgresConnection) -> None:
    migrate(connection, (*POSTGRES_MIGRATIONS, EXCLUDING))
    for use in (migrate, require_schema):
        with pytest.raises(BookRefusedError, match="Install a newer Stagebook"):
            use(connection)


def test_a_later_additive_migration_keeps_what_was_excluded(connection: PostgresConnection) -> None:
    migrate(connection, (*POSTGRES_MIGRATIONS, EXCLUDING))
    after = PostgresMigration(statements="SELECT 1", minimum_version=NUMBER)
    info = migrate(connection, (*POSTGRES_MIGRATIONS, EXCLUDING, after))
    assert info.minimum_version == NUMBER + 1


def test_a_migration_that_fails_changes_nothing(connection: PostgresConnection) -> None:
    before = read_book_info(connection)
    failing = PostgresMigration(statements="CREATE TABLE made (); SELECT 1 / 0", minimum_version=NUMBER)
    with pytest.raises(BookFailedError, match="division by zero"):
        migrate(connection, (*POSTGRES_MIGRATIONS, ADDITIVE, failing))
    assert read_book_info(connection) == before
    assert connection.execute("SELECT to_regclass('made') IS NULL, to_regclass('added') IS NULL") == [(True, True)]


def test_a_migration_does_not_wait_long_for_a_table(connection: PostgresConnection, postgres_book_url: str) -> None:
    """Whoever writes to the table waits behind the migration."""
    other = PostgresConnection(postgres_book_url)
    other.script("BEGIN; LOCK TABLE stage IN ROW EXCLUSIVE MODE")
    changing = PostgresMigration(statements="ALTER TABLE stage ADD COLUMN added integer", minimum_version=NUMBER)
    with pytest.raises(BookFailedError, match="another session locks"):
        migrate(connection, (*POSTGRES_MIGRATIONS, changing))
    other.close()


def test_a_database_of_another_program_is_refused(postgres_url: str) -> None:
    connection = PostgresConnection(postgres_url)
    connection.script("CREATE TABLE event (id integer)")
    with pytest.raises(BookRefusedError, match="tables of another program"):
        migrate(connection)
    assert read_book_info(connection) is None
    connection.close()


def test_only_a_server_makes_or_changes_a_schema(connection: PostgresConnection, postgres_url: str) -> None:
    empty = PostgresConnection(postgres_url)
    with pytest.raises(BookRefusedError, match="has no book: start the server once"):
        require_schema(empty)
    empty.close()
    with pytest.raises(BookRefusedError, match="is an older book: start the server once"):
        require_schema(connection, NUMBER + 1)
