"""Opening the file of the search index: creating it, and emptying it if it does not belong to the book."""

import os
from collections.abc import Callable
from pathlib import Path

import apsw

from stagebook.book.book_source import STEPS_BETWEEN_CHECKS
from stagebook.history.search import index_schema

BUSY_TIMEOUT_MS = 1_500
"""How long a statement waits for another history process that writes to the index: longer than a batch takes."""

_MODE = 0o600
_BOOK_CACHE_SIZE_KIB = 16_384
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOMUTEX
_ATTEMPTS = 3

UNUSABLE = (apsw.CorruptError, apsw.NotADBError)
"""What SQLite raises for a file that it cannot read."""


def open_index(path: Path, *, book_path: Path, must_stop: Callable[[], bool]) -> apsw.Connection:
    """Return a connection to the index at `path`, with the book attached for reading as `book`.

    The file is created with mode 0600 if it is missing. It is emptied if it is damaged, of another version, or made of
    another book. Raises apsw.Error if the file cannot be opened at all.
    """
    _create_private(path)
    connection = apsw.Connection(str(path), flags=_FLAGS)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.set_progress_handler(must_stop, STEPS_BETWEEN_CHECKS)
        _prepare(connection)
        _attach_book(connection, book_path)
        if not _is_of_book(connection):
            connection.execute("DETACH book").fetchall()
            empty(connection)
            _prepare(connection)
            _attach_book(connection, book_path)
        connection.execute(index_schema.TEMPORARY_TABLES).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def empty(connection: apsw.Connection) -> None:
    """Remove everything from the file, also if it is damaged.

    This is SQLite's documented way (sqlite.org/c3ref/c_dbconfig_defensive.html, RESET_DATABASE). Unlike the deletion
    of the file, it is safe while other processes have the file open.
    """
    connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 1)
    try:
        # A file that has a page already gets its vacuum mode from VACUUM only.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").fetchall()
    finally:
        connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)


def _attach_book(connection: apsw.Connection, book_path: Path) -> None:
    connection.execute("ATTACH ? AS book", (f"{book_path.absolute().as_uri()}?mode=ro",)).fetchall()
    connection.execute(f"PRAGMA book.cache_size = -{_BOOK_CACHE_SIZE_KIB}").fetchall()


def _prepare(connection: apsw.Connection) -> None:
    """Make sure that the file has the tables of this version."""
    for _ in range(_ATTEMPTS):
        try:
            connection.execute(index_schema.SETTINGS).fetchall()
            if _has_tables(connection):
                return
        except UNUSABLE:
            pass
        empty(connection)
    raise apsw.CorruptError("the search index cannot be created")


def _has_tables(connection: apsw.Connection) -> bool:
    """Create the tables in an empty file. Return whether the file has the tables of this version."""
    if _is_current(connection):
        return True
    connection.execute("BEGIN IMMEDIATE").fetchall()
    try:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0]
        if tables == 0:
            connection.execute(index_schema.TABLES + index_schema.MARKS).fetchall()
    except BaseException:
        connection.execute("ROLLBACK").fetchall()
        raise
    connection.execute("COMMIT").fetchall()
    return _is_current(connection)


def _is_current(connection: apsw.Connection) -> bool:
    versions = (connection.pragma("application_id"), connection.pragma("user_version"))
    return versions == (index_schema.APPLICATION_ID, index_schema.VERSION)


def _is_of_book(connection: apsw.Connection) -> bool:
    """Return whether the index can be continued from the book: false if the book is from a backup before the index."""
    statements = (
        index_schema.LAST_SEQUENCE,
        index_schema.LAST_SEQUENCE_OF_BOOK,
        index_schema.NEWEST_ENTRY_IS_KNOWN,
    )
    try:
        indexed, last, newest_is_known = (connection.execute(each).fetchall() for each in statements)
    except UNUSABLE:
        return False
    return indexed <= last and newest_is_known in ([], [(1,)])


def _create_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
    except FileExistsError:
        return
