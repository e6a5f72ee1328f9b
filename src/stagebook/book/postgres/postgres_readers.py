"""Opens the readers of a book in PostgreSQL, in any process. Nodes may write to the book meanwhile."""

from typing import Final

from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_schema import require_schema
from stagebook.book.tables.session_history import SessionHistory
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.book.tables.table_reader import TableReader

PATIENCE_SECONDS: Final = 30.0
"""How long a read waits for a database that cannot be reached."""


def open_connection(url: str, *, patience_seconds: float = PATIENCE_SECONDS) -> PostgresConnection:
    """Return a connection to the existing book at `url`. Raises BookRefusedError and BookUnreachableError."""
    connection = PostgresConnection(url, patience_seconds=patience_seconds)
    try:
        require_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(url: str, *, show_deleted_history: bool = False) -> TableReader:
    """Open the book at `url`. Raises BookRefusedError and BookUnreachableError.

    The stream keys of ingest configurations read as they are stored, sealed.
    """
    return TableReader(open_connection(url), show_deleted_history=show_deleted_history)


def open_event_log(url: str) -> TableEventLog:
    """Open the event log of the book at `url`. Raises BookRefusedError and BookUnreachableError."""
    return TableEventLog(open_connection(url))


def open_session_history(url: str) -> SessionHistory:
    """Open the sessions of the book at `url`. Raises BookRefusedError and BookUnreachableError."""
    # Nodes take blocks of keys, so those of several accounts do not follow the time.
    return SessionHistory(open_connection(url), keys_follow_time=False)
