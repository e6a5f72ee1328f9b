"""COPIED_TABLES has all tables and columns of each store, so no migration can add what copies lose."""

from pathlib import Path

import psycopg

from stagebook.book.copying.copied_tables import COPIED_TABLES
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import migrate
from stagebook.book.sqlite.book_connection import open_for_writing
from tests.book.sample import SEAL

COUNTERS = {"sequencer", "sqlite_sequence"}
OF_SERVERS = {"book_info", "node_run", "account_lease", "shared_secret", "bearer_key", "bearer_key_version"}
OF_WEBHOOKS = {
    *("destination", "run", "lagging_session", "delivery", "dead_letter", "test_request", "backlog"),
    "webhook_version",
}
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


def listed() -> dict[str, set[str]]:
    return {table.name: set(table.columns) for table in COPIED_TABLES}


def listed_keys() -> dict[str, list[str]]:
    return {table.name: list(table.key) for table in COPIED_TABLES}


def test_sqlite_has_these_tables(tmp_path: Path) -> None:
    connection = open_for_writing(tmp_path / "book.sqlite3", seal=SEAL)
    columns: dict[str, set[str]] = {}
    keys: dict[str, list[str]] = {}
    for table, column, place in connection.execute(_SQLITE_COLUMNS).fetchall():
        columns.setdefault(str(table), set()).add(str(column))
        if place:
            keys.setdefault(str(table), []).append(str(column))
    connection.close()
    kept = columns.keys() - COUNTERS
    assert {table: columns[table] for table in kept} == listed()
    assert {table: keys[table] for table in kept} == listed_keys()


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
    kept = columns.keys() - COUNTERS - OF_SERVERS - OF_WEBHOOKS
    assert {table: columns[table] for table in kept} == listed()
    assert {table: keys[table] for table in kept} == listed_keys()
