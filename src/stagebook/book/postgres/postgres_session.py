"""A session of PostgreSQL as a book needs it: its settings, and the errors of its statements with their remedy.

The session settings are made after connecting:

* `statement_timeout`, `lock_timeout` and `idle_in_transaction_session_timeout` bound what a client that is stopped or
  cut off can hold.
* `enable_seqscan` and others are off, and plans are generic: the planner then chooses the index searches for which the
  statements are written, whatever the statistics say. PostgreSQL still uses a disabled kind of plan where there is no
  other.

The libpq parameters of the URL have precedence over DEFAULTS.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import psycopg
from psycopg import conninfo, errors
from psycopg.types.numeric import Int8Dumper

from stagebook.book.book_errors import BookDamagedError, BookFailedError, BookRefusedError, BookTakenOverError
from stagebook.book.tables.rows import Row

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

_DAMAGED: Final = (errors.DataCorrupted, errors.IndexCorrupted)
_UNREACHABLE: Final = ("08", "57P01", "57P02", "57P03", "57P05", "53300", "25P03")
"""SQLSTATEs, or their classes, of a server that goes, comes, or has ended the session: a new connection may work."""
_FENCED: Final = "SB001"


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
