"""A connection to a book in PostgreSQL: reads in SQLite's form, statements in PostgreSQL's, errors with their remedy.

A connection belongs to one thread at a time. Each statement is a transaction of its own (autocommit), and is prepared
on the server at its first use. The session settings are made after connecting:

* `statement_timeout`, `lock_timeout` and `idle_in_transaction_session_timeout` bound what a client that is stopped or
  cut off can hold.
* `enable_seqscan` and others are off, and plans are generic: the planner then chooses the index searches for which the
  statements are written, whatever the statistics say. PostgreSQL still uses a disabled kind of plan where there is no
  other.

A connection relies on its session for the settings, the prepared statements and LISTEN. A connection pooler in session
mode keeps them, one in transaction mode does not, and must not be used.

The libpq parameters of the URL have precedence over DEFAULTS.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import conninfo, errors
from psycopg.types.numeric import Int8Dumper

from stagebook.book.postgres.statement_translation import translated
from stagebook.book.store import BookDamagedError, BookFailedError, BookRefusedError, BookTakenOverError
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Parameters

MINIMUM_SERVER: Final = 14
"""PostgreSQL 13 is without fixes of its makers since November 2025 (postgresql.org/support/versioning)."""

DEFAULTS: Final = MappingProxyType(
    {
        "application_name": "stagebook",
        "client_encoding": "UTF8",
        "connect_timeout": "5",
        # A network that swallows packets is noticed within about 6 s: with data under way by the first, else by the
        # others (postgresql.org/docs/current/libpq-connect.html).
        "tcp_user_timeout": "5000",
        "keepalives_idle": "3",
        "keepalives_interval": "1",
        "keepalives_count": "3",
        # Of several hosts, the primary.
        "target_session_attrs": "read-write",
    }
)
"""libpq parameters of a connection that the URL does not give."""

SESSION_SETTINGS: Final = MappingProxyType(
    {
        "statement_timeout": "10s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "2s",
        "timezone": "UTC",
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_material": "off",
        "enable_sort": "off",
        "jit": "off",
    }
)

ANSWER_SECONDS: Final = 12.0
"""How long a client waits for the answer to a statement: longer than `statement_timeout`."""

_WAIT_FOR_DISK: Final = b"""
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
_MAXIMUM_PREPARED: Final = 200
"""The prepared statements of a connection: more than the statements of a book."""
_RETRY_SECONDS: Final = 0.1

_DAMAGED: Final = (errors.DataCorrupted, errors.IndexCorrupted)
_UNREACHABLE: Final = ("08", "57P01", "57P02", "57P03", "57P05", "53300", "25P03")
"""SQLSTATEs, or their classes, of a server that goes, comes, or has ended the session: a new connection may work."""
_FENCED: Final = "SB001"

NativeParameters: TypeAlias = Mapping[str, Any] | Sequence[Any]


class BookUnreachableError(BookFailedError):
    """The database does not answer, or has ended the session. A statement that writes may have been carried out."""


class LockTimeoutError(BookFailedError):
    """A statement waited too long for the lock of another session. It has changed nothing."""


class RunFencedError(BookTakenOverError):
    """Another node has taken over from this run of the node, which may not write any more."""


class _BoundedSession(psycopg.Connection[Row]):
    """A session whose statements fail if the server does not answer, for instance because its processes are stopped.

    The server's own limit is `statement_timeout`, which is shorter.
    """

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 - as overridden
        """Wait for an answer, for ANSWER_SECONDS if no `timeout` is given. Raises OperationalError."""
        return super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)


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
            session = self._session = connect(self._url, self._settings)
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
        """Execute a statement in PostgreSQL's form once with each of the parameters, in few round trips."""
        try:
            session = self.session
            cursor = self._cursor = self._cursor or session.cursor()
            cursor.executemany(statement, parameters)
        except psycopg.Error as error:
            raise self._failure(error) from error

    def script(self, statements: str) -> None:
        """Execute several statements without parameters, as one transaction if none is open."""
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
        """Wait for what channels have sent that were listened to; return the payloads, maybe none.

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


def connect(url: str, settings: Mapping[str, str] = SESSION_SETTINGS) -> "psycopg.Connection[Row]":
    """Return a new session with these settings.

    Raises BookRefusedError if the URL or the server cannot be used, and BookUnreachableError.
    """
    parameters = _parameters(url)
    try:
        session = _BoundedSession.connect(**parameters, autocommit=True)
    except psycopg.Error as error:
        raise failure(url, error) from error
    try:
        session.prepared_max = _MAXIMUM_PREPARED
        # One type for all integers. By default it depends on the value, and so does the prepared statement.
        session.adapters.register_dumper(int, Int8Dumper)
        _require_usable(session, place_of(url))
        session.execute(
            "".join(f"SET {name} = '{value}'; " for name, value in settings.items()).encode() + _WAIT_FOR_DISK
        )
    except psycopg.Error as error:
        session.close()
        raise failure(url, error) from error
    except BaseException:
        session.close()
        raise
    return session


def place_of(url: str) -> str:
    """Return which database a URL means, without user and password. Raises BookRefusedError if it is no such URL."""
    parameters = _parameters(url)
    host, port = parameters.get("host", "localhost"), parameters.get("port", "5432")
    return f"PostgreSQL database {parameters.get('dbname', '')} at {host}:{port}"


def _parameters(url: str) -> dict[str, Any]:
    try:
        return {**DEFAULTS, **conninfo.conninfo_to_dict(url)}
    except psycopg.Error:
        # Not with the text of the error, which can contain parts of the URL.
        raise BookRefusedError(
            "The database URL is not one of PostgreSQL: it has the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        ) from None


def _require_usable(session: "psycopg.Connection[Row]", place: str) -> None:
    version = session.info.server_version // 10_000
    if version < MINIMUM_SERVER:
        raise BookRefusedError(f"{place} is PostgreSQL {version}: Stagebook needs version {MINIMUM_SERVER} or newer.")
    encoding = session.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise BookRefusedError(f"{place} has the encoding {encoding}: make a database with the encoding UTF8.")


def durability_warnings(connection: PostgresConnection) -> list[str]:
    """Return what is wrong with the settings of a server that must not lose what it has acknowledged; for the log."""
    ((fsync, full_pages),) = connection.execute("SELECT current_setting('fsync'), current_setting('full_page_writes')")
    return [
        f"PostgreSQL has {name} = off: a crash of its machine can damage or lose events that were acknowledged"
        for name, value in (("fsync", fsync), ("full_page_writes", full_pages))
        if value == "off"
    ]


def is_unreachable(error: psycopg.Error) -> bool:
    """Return whether a statement failed because the server or the session is gone, not because of the statement."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_UNREACHABLE)


def failure(url: str, error: psycopg.Error) -> BookFailedError:
    """Return the error of the book for an error of psycopg. Its message has no part of the URL that is secret."""
    place = place_of(url)
    text = " ".join(str(error).split())
    if password := _parameters(url).get("password"):
        text = text.replace(password, "...")
    if error.sqlstate == _FENCED:
        return RunFencedError(f"{text}: another node has taken over, try again")
    if is_unreachable(error):
        return BookUnreachableError(f"{place} cannot be reached: {text}. Check that it runs, and the database URL.")
    if isinstance(error, _DAMAGED):
        return BookDamagedError(f"{place} is damaged ({text}). Restore it from a backup.")
    if isinstance(error, errors.LockNotAvailable):
        return LockTimeoutError(f"{place} has a row or table that another session locks: {text}")
    if isinstance(error, errors.DiskFull):
        return BookFailedError(f"{place} has no space left: {text}. Make space on its disk.")
    return BookFailedError(f"{place} failed: {text}")
