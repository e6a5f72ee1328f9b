"""A connection to a book in PostgreSQL: reads in SQLite's form, statements in PostgreSQL's.

A connection belongs to one thread at a time. Each statement is a transaction of its own (autocommit), and is prepared
on the server at its first use.

A connection relies on its session (`postgres_session.py`) for the settings, the prepared statements and LISTEN. A
connection pooler in session mode keeps them, one in transaction mode does not, and must not be used.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import psycopg

from stagebook.book.book_errors import BookDamagedError, BookFailedError, BookRefusedError
from stagebook.book.postgres.postgres_session import (
    SESSION_SETTINGS,
    BookUnreachableError,
    connect,
    failure,
    is_unreachable,
    place_of,
)
from stagebook.book.postgres.statement_translation import translated
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Parameters

_RETRY_SECONDS: Final = 0.1

NativeParameters: TypeAlias = Mapping[str, Any] | Sequence[Any]


class PostgresConnection:
    """Implements `TableConnection`. A lost connection is made again at the next statement.

    A statement that reads is repeated for up to `patience_seconds` while the database cannot be reached. `execute`, for
    statements that may write, never repeats.
    """

    def __init__(
        self, url: str, *, patience_seconds: float = 0.0, settings: Mapping[str, str] = SESSION_SETTINGS
    ) -> None:
        """Connect. Raises BookRefusedError if the database cannot be a book, and BookUnreachableError."""
        self._url = url
        self._patience_seconds = patience_seconds
        self._settings = settings
        self._closed = False
        self._in_snapshot = False
        self._session: psycopg.Connection[Row] | None = connect(url, settings)
        # One cursor for all statements of a session: making one takes a third of the time of a short statement.
        self._cursor: psycopg.Cursor[Row] | None = None

    @property
    def place(self) -> str:
        """The database, for messages."""
        return place_of(self._url)

    @property
    def session(self) -> "psycopg.Connection[Row]":
        """The present session; a new one if it was lost. Raises BookUnreachableError and BookFailedError."""
        if self._closed:
            raise BookFailedError("the book is closed")
        session = self._session
        if session is None or session.closed:
            self._drop()
            try:
                session = self._session = connect(self._url, self._settings)
            except BookRefusedError as error:
                # BookRefusedError is for the start of a server. Reads and writes raise the failures of a book.
                raise BookFailedError(str(error)) from error
        return session

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return all rows of a statement in SQLite's form. Raises BookDamagedError and BookFailedError."""
        native = translated(statement)
        deadline: float | None = None
        while True:
            try:
                return self.execute(native, parameters)
            except BookUnreachableError:
                deadline = deadline or time.monotonic() + self._patience_seconds
                # A snapshot does not outlive its session.
                if self._in_snapshot or self._closed or time.monotonic() > deadline:
                    raise
                time.sleep(min(_RETRY_SECONDS, self._patience_seconds))

    def execute(self, statement: str, parameters: NativeParameters = ()) -> list[Row]:
        """Execute a statement in PostgreSQL's form; return its rows, if it has any.

        Raises BookUnreachableError, RunFencedError, BookDamagedError, and BookFailedError.
        """
        try:
            session = self.session
            cursor = self._cursor = self._cursor or session.cursor()
            cursor.execute(statement, parameters, prepare=True)
            result = cursor.pgresult
            return cursor.fetchall() if result is not None and result.nfields else []
        except psycopg.Error as error:
            raise self._failure(error) from error

    def execute_many(self, statement: str, parameters: Sequence[NativeParameters]) -> None:
        """Execute a statement in PostgreSQL's form once with each of the parameters, in few round trips.

        Raises BookDamagedError and BookFailedError.
        """
        try:
            session = self.session
            cursor = self._cursor = self._cursor or session.cursor()
            cursor.executemany(statement, parameters)
        except psycopg.Error as error:
            raise self._failure(error) from error

    def script(self, statements: str) -> None:
        """Execute several statements without parameters, as one transaction if none is open.

        Raises BookDamagedError and BookFailedError.
        """
        try:
            self.session.execute(statements.encode(), prepare=False)
        except psycopg.Error as error:
            raise self._failure(error) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads within the context be of one read-only transaction with one snapshot."""
        self.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._in_snapshot = True
        try:
            yield
        finally:
            self._in_snapshot = False
            self._end_transaction("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction. It is rolled back if the context raises."""
        self.script("BEGIN")
        try:
            yield
        except BaseException:
            self._end_transaction("ROLLBACK")
            raise
        self.script("COMMIT")

    def damaged(self, error: Exception) -> BookFailedError:
        """Return the error of rows that could not be decoded."""
        return BookDamagedError(f"{self.place} is damaged ({error}). Restore it from a backup.")

    def wait_notifications(self, timeout_seconds: float) -> list[str]:
        """Wait for notifications on the channels that are listened to; return their payloads, possibly none.

        Raises BookUnreachableError. After it, the caller must listen again, and look at what it has missed.
        """
        try:
            return [each.payload for each in self.session.notifies(timeout=timeout_seconds, stop_after=1)]
        except psycopg.Error as error:
            raise self._failure(error) from error

    def interrupt(self) -> None:
        """Cancel the statement that another thread executes on this connection. It raises BookFailedError there."""
        session = self._session
        if session is not None and not session.closed:
            with suppress(psycopg.Error):
                session.cancel_safe(timeout=1.0)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        session, self._session, self._cursor = self._session, None, None
        if session is not None:
            session.close()

    def _end_transaction(self, command: str) -> None:
        """End a transaction whose result does not matter. A session that cannot do that is given up."""
        try:
            if self._session is not None and not self._session.closed:
                self._session.execute(command)
        except psycopg.Error:
            self._drop()

    def _failure(self, error: psycopg.Error) -> BookFailedError:
        if self._session is not None and (self._session.broken or is_unreachable(error)):
            self._drop()
        return failure(self._url, error)


def durability_warnings(connection: PostgresConnection) -> list[str]:
    """Return what is wrong with the settings of a server that must not lose what it has acknowledged; for the log."""
    ((fsync, full_pages),) = connection.execute("SELECT current_setting('fsync'), current_setting('full_page_writes')")
    return [
        f"PostgreSQL has {name} = off: a crash of its machine can damage or lose events that were acknowledged"
        for name, value in (("fsync", fsync), ("full_page_writes", full_pages))
        if value == "off"
    ]
