"""The port of a scan: a book at one moment, whose statements yield rows as a stream.

Statements have SQLite's form. Several may be read at the same time, each by its own iterator.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from stagebook.book.book_source import BookSource
from stagebook.book.scanning.sqlite_row_stream import SqliteRowStream
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Parameters


class RowStream(Protocol):
    """A book that is read once. Only one thread may use it."""

    def rows(self, statement: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Yield the rows of a statement. Raises what `READ_ERRORS` of `book_scan.py` has, and BookFailedError."""

    def unnoted_events(self) -> Iterator[Row]:
        """Yield the events that table `open_event` does not have yet, as UNNOTED_EVENTS does."""

    def faults(self) -> Iterator[str]:
        """Yield what the store itself finds wrong."""

    def close(self) -> None:
        """Close the book. Idempotent."""


def open_row_stream(source: BookSource) -> RowStream:
    """Open a book for a scan, also while servers write it. Raises BookRefusedError and BookFailedError."""
    if isinstance(source, Path):
        return SqliteRowStream(source)
    # psycopg is an extra: servers with a SQLite book may not have it.
    from stagebook.book.scanning.postgres_row_stream import PostgresRowStream

    return PostgresRowStream(source.url)
