"""The stream of rows of a book in PostgreSQL: one read-only transaction with one snapshot, and cursors of the server.

Servers can go on writing meanwhile. Vacuum keeps the rows that they replace until the scan ends.
"""

import itertools
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

import psycopg

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import require_schema
from stagebook.book.postgres.postgres_session import failure
from stagebook.book.postgres.statement_translation import translated
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Parameters

ROWS_PER_FETCH: Final = 2_000
_SETTINGS: Final = MappingProxyType(
    {
        # A scan lasts as long as the book is large.
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "lock_timeout": "5s",
        "timezone": "UTC",
        "jit": "off",
    }
)


class PostgresRowStream:
    """Implements `RowStream`. Reads raise BookFailedError."""

    def __init__(self, url: str) -> None:
        """Open the book. Raises BookRefusedError and BookFailedError."""
        self._url = url
        self._connection = PostgresConnection(url, settings=_SETTINGS)
        self._names = itertools.count(1)
        try:
            require_schema(self._connection)
            self._connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        except BaseException:
            self._connection.close()
            raise

    def rows(self, statement: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Yield the rows of a statement, ROWS_PER_FETCH of them at a time."""
        try:
            with self._connection.session.cursor(f"scan_{next(self._names)}") as cursor:
                cursor.itersize = ROWS_PER_FETCH
                cursor.execute(translated(statement).encode(), parameters)
                yield from cursor
        except psycopg.Error as error:
            raise failure(self._url, error) from error

    def unnoted_events(self) -> Iterator[Row]:
        """Yield nothing: each group writes table `open_event` with its events."""
        return iter(())

    def faults(self) -> Iterator[str]:
        """Yield nothing: PostgreSQL notices damage when it reads a page, if the cluster has checksums."""
        return iter(())

    def close(self) -> None:
        """Close the book. Idempotent."""
        self._connection.close()
