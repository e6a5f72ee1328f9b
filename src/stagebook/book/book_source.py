"""Where a book is, as a value that can be sent to another process, which opens the book's tables for reading there."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from stagebook.book.sqlite.book_connection import READ_CACHE_SIZE_KIB
from stagebook.book.sqlite.open_readers import open_connection
from stagebook.book.tables.table_connection import TableConnection

STEPS_BETWEEN_CHECKS: Final = 10_000
"""After so many instructions of SQLite's virtual machine, less than a millisecond, a statement may be interrupted."""

DATABASE_PATIENCE_SECONDS: Final = 5.0
"""How long a read waits for a database that does not answer, unless its statements have a shorter time."""


class DatabaseSource(msgspec.Struct, frozen=True, kw_only=True):
    """A book in a PostgreSQL database. The URL can contain a password, so it is not in the value's text."""

    url: str

    def __repr__(self) -> str:
        return "DatabaseSource()"


BookSource: TypeAlias = Path | DatabaseSource
"""A path is that of a SQLite book."""


def open_tables(
    source: BookSource,
    *,
    must_stop: Callable[[], bool] | None = None,
    statement_seconds: float | None = None,
    cache_size_kib: int = READ_CACHE_SIZE_KIB,
) -> TableConnection:
    """Return a connection for reading the tables of an existing book.

    A statement of SQLite calls `must_stop` again and again, and ends when it is true. A statement in a database ends
    after `statement_seconds`. Both then raise BookFailedError. `cache_size_kib` bounds the pages of a SQLite book that
    are kept in memory. Raises BookRefusedError, and BookFailedError for a database that does not answer.
    """
    if isinstance(source, Path):
        connection = open_connection(source, cache_size_kib=cache_size_kib)
        if must_stop is not None:
            connection.stop_when(must_stop, steps=STEPS_BETWEEN_CHECKS)
        return connection
    return _open_database(source, statement_seconds=statement_seconds)


def _open_database(source: DatabaseSource, *, statement_seconds: float | None) -> TableConnection:
    # psycopg is an extra: servers with a SQLite book may not have it.
    from stagebook.book.postgres.postgres_readers import open_connection as connect

    patience_seconds = DATABASE_PATIENCE_SECONDS if statement_seconds is None else statement_seconds
    return connect(source.url, patience_seconds=patience_seconds, statement_seconds=statement_seconds)
