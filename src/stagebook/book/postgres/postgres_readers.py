"""Opens the readers of a book in PostgreSQL, in any process. Nodes may write to the book meanwhile."""

from functools import partial
from typing import Final

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import require_schema
from stagebook.book.postgres.postgres_session import SESSION_SETTINGS
from stagebook.book.tables.pooled.pooled_pages import PooledPages
from stagebook.book.tables.pooled.reader_pool import THREADS, ReaderPool
from stagebook.book.tables.session_history import SessionHistory
from stagebook.book.tables.stream_key_seal import StreamKeySeal
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
    url: str,
    *,
    show_deleted_history: bool = False,
    seal: StreamKeySeal | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
) -> TableReader:
    """Open the book at `url`. Raises BookRefusedError and BookUnreachableError.

    `seal` opens the stream keys of ingest configurations. Without it they read as they are stored, sealed.
    """
    connection = open_connection(url, patience_seconds=patience_seconds)
    return TableReader(connection, show_deleted_history=show_deleted_history, seal=seal)


def open_pool(
    url: str, *, threads: int = THREADS, show_deleted_history: bool = False, seal: StreamKeySeal | None = None
) -> ReaderPool:
    """Return a pool of readers of the book at `url`; see `open_reader`. Threads connect when reads need them."""
    # The pool itself repeats a read while the database cannot be reached.
    reader = partial(open_reader, url, show_deleted_history=show_deleted_history, seal=seal, patience_seconds=0)
    return ReaderPool(reader, threads=threads)


def open_pages(
    url: str, *, threads: int = THREADS, show_deleted_history: bool = False, seal: StreamKeySeal | None = None
) -> PooledPages:
    """Return the awaitable reads of the book at `url`; see `open_reader`. Close it in the end."""
    return PooledPages(open_pool(url, threads=threads, show_deleted_history=show_deleted_history, seal=seal))


def open_event_log(url: str) -> TableEventLog:
    """Open the event log of the book at `url`. Raises BookRefusedError and BookUnreachableError."""
    return TableEventLog(open_connection(url))


def open_session_history(url: str) -> SessionHistory:
    """Open the sessions of the book at `url`. Raises BookRefusedError and BookUnreachableError."""
    # Nodes take blocks of keys, so those of several accounts do not follow the time.
    return SessionHistory(open_connection(url), keys_follow_time=False)
