"""COPIED_TABLES has all tables and columns of each store, so no migration can add what copies lose."""

from collections.abc import Iterable
from pathlib import Path

import psycopg
import pytest

from stagebook.book.copying.copied_tables import COPIED_TABLES, SHARED_TABLES, CopiedTable
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import migrate
from stagebook.book.sqlite.book_connection import open_for_writing
from stagebook.webhooks.webhook_file import open_webhook_file
from tests.book.sample import SEAL

COUNTERS = {"sequencer", "sqlite_sequence"}
OF_SERVERS = {"book_info", "node_run", "account_lease", "shared_secret", "bearer_key_version", "webhook_version"}
_SQLITE_COLUMNS = """
SELECT sqlite_schema.name, info.name, info.pk FROM sqlite_schema, pragma_table_info(sqlite_schema.name) AS info
WHERE sqlite_schema.type = 'table' ORDER BY sqlite_schema.name, info.pk
"""
_POSTGRES_COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
_POSTGRES_KEYS = """
SELECT tc.table_name, kcu.column_name FROM information_schema.table_constraints AS tc
JOIN information_schema.key_column_usage AS kcu USING (constraint_name, table_name)
WHERE tc.constraint_type = 'PRIMARY KEY' ORDER BY tc.table_name, kcu.ordinal_position
"""


def listed(tables: Iterable[CopiedTable]) -> dict[str, set[str]]:
    return {table.name: set(table.columns) for table in tables}


def listed_keys(tables: Iterable[CopiedTable]) -> dict[str, list[str]]:
    return {table.name: list(table.key) for table in tables}


@pytest.mark.parametrize("file", ["book", "webhooks"])
def test_sqlite_has_these_tables(tmp_path: Path, file: str) -> None:
    tables: tuple[CopiedTable, ...] = COPIED_TABLES
    if file == "book":
        connection = open_for_writing(tmp_path / "book.sqlite3", seal=SEAL)
    else:
        # The bearer keys of a data folder are in a file of their own.
        tables = tuple(table for table in SHARED_TABLES if table.name != "bearer_key")
        connection = open_webhook_file(tmp_path / "webhooks.sqlite3")
    columns: dict[str, set[str]] = {}
    keys: dict[str, list[str]] = {}
    for table, column, place in connection.execute(_SQLITE_COLUMNS).fetchall():
        columns.setdefault(str(table), set()).add(str(column))
        if place:
            keys.setdefault(str(table), []).append(str(column))
    connection.close()
    kept = columns.keys() - COUNTERS
    assert {table: columns[table] for table in kept} == listed(tables)
    assert {table: keys[table] for table in kept} == listed_keys(tables)


def test_postgresql_has_these_tables(postgres_url: str) -> None:
    book = PostgresConnection(postgres_url)
    migrate(book)
    book.close()
    columns: dict[str, set[str]] = {}
    keys: dict[str, list[str]] = {}
    with psycopg.connect(postgres_url) as connection:
        for table, column in connection.execute(_POSTGRES_COLUMNS):
            columns.setdefault(table, set()).add(column)
        for table, column in connection.execute(_POSTGRES_KEYS):
            keys.setdefault(table, []).append(column)
    kept = columns.keys() - COUNTERS - OF_SERVERS
    tables = (*COPIED_TABLES, *SHARED_TABLES)
    assert {table: columns[table] for table in kept} == listed(tables)
    assert {table: keys[table] for table in kept} == listed_keys(tables)
