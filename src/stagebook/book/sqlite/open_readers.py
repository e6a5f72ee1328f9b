"""Opens the readers of a book on SQLite, in any process. A server may have the book open for writing meanwhile."""

from pathlib import Path

from stagebook.book.sqlite.book_connection import READ_CACHE_SIZE_KIB, open_for_reading
from stagebook.book.sqlite.sqlite_connection import SqliteConnection
from stagebook.book.tables.session_history import SessionHistory
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.book.tables.table_reader import TableReader


def open_connection(path: Path, *, cache_size_kib: int = READ_CACHE_SIZE_KIB) -> SqliteConnection:
    """Return a read-only connection to the existing book at `path`. Raises BookRefusedError."""
    return SqliteConnection(open_for_reading(path, cache_size_kib=cache_size_kib))


def open_reader(path: Path, *, show_deleted_history: bool = False) -> TableReader:
    """Open the book at `path`. Raises BookRefusedError.

    The stream keys of ingest configurations read as they are stored, sealed.
    """
    return TableReader(open_connection(path), show_deleted_history=show_deleted_history)


def open_event_log(path: Path) -> TableEventLog:
    """Open the event log of the book at `path`. Raises BookRefusedError."""
    return TableEventLog(open_connection(path))


def open_session_history(path: Path) -> SessionHistory:
    """Open the sessions of the book at `path`. Raises BookRefusedError."""
    return SessionHistory(open_connection(path))
