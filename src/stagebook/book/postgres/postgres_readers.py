"""Opens the readers of a book in PostgreSQL, in any process. Nodes may write to the book meanwhile."""

from functools import partial
from typing import Final

from stagebook.book.postgres.postgres_connection import SESSION_SETTINGS, PostgresConnection
from stagebook.book.postgres.postgres_schema import require_schema
from stagebook.book.tables.pooled.pooled_pages import PooledPages
from stagebook.book.tables.pooled.reader_pool import THREADS, ReaderPool
from stagebook.book.tables.session_history import SessionHistory
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.book.tables.table_reader import TableReader

PATIENCE_SECONDS: Final = 30.0
"""How long a read waits for a database that cannot be reached."""


def open_connection(
    url: str, *, patience_seconds: float = PATIENCE_SECONDS, statement_seconds: float | None = None
) -> PostgresConnection:
    """Return a connection to the existing book at `url`. Raises BookRefusedError and BookUnreachableError.

    The database ends a statement after `statement_seconds`.
    """
    settings = dict(SESSION_SETTINGS)
    if statement_seconds is not None:
        settings["statement_timeout"] = f"{max(1, round(statement_seconds * 1_000))}ms"
    connection = PostgresConnection(url, patience_seconds=patience_seconds, settings=settings)
    try:
        require_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(
    url: str, *, show_deleted_history: bool = False, patience_seconds: float = PATIENCE_SECONDS
) -> TableReader:
    """Open the book at `url`. Raises BookRefusedError and BookUnreachableError.

    The stream keys of ingest configurations read as they are stored, sealed.
    """
    connection = open_connection(url, patience_seconds=patience_seconds)
    return TableReader(connection, show_deleted_history=show_deleted_history)


def open_pages(url: str, *, threads: int = THREADS, show_deleted_history: bool = False) -> PooledPages:
    """Return the awaitable reads of the book at `url`. Threads connect when reads need them. Close it in the end."""
    # The pool itself repeats a read while the database cannot be reached.
    reader = partial(open_reader, url, show_deleted_history=show_deleted_history, patience_seconds=0)
    return PooledPages(ReaderPool(reader, threads=threads))


def open_event_log(url: str) -> TableEventLog:
    """Open the event log of the book at `url`. Raises BookRefusedError and BookUnreachableError."""
    return TableEventLog(open_connection(url))


def open_session_history(url: str) -> SessionHistory:
    """Open the sessions of the book at `url`. Raises BookRefusedError and BookUnreachableError."""
    # Nodes take blocks of keys, so those of several accounts do not follow the time.
    return SessionHistory(open_connection(url), keys_follow_time=False)
