"""The file of webhooks, `webhooks.sqlite3` in the data folder: its tables, and who writes which of them.

A book in PostgreSQL has the same tables beside it (`webhook_database`).

    destination      the API, the command line, the start of the server; the delivery process disables one that is gone
    run              the same; the delivery process moves its position and removes a replay that is complete
    test_request     the API and the command line; the delivery process removes those that it has carried out
    lagging_session, delivery, dead_letter, backlog       the delivery process

A run is one pass over the book for one destination: its live run, which never ends, or a replay. Its position is a
sequence number of the book, so no event is stored here, except what the delivery history shows of it.

Transactions are short, and a writer waits for another one (`BUSY_TIMEOUT_MS`). The delivery process does not sync each
commit: the worst that a failure of the machine can undo is that it repeats deliveries.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, Final

import apsw

from stagebook.webhooks.webhook_tables import WebhooksBusyError, WebhookStorageError

APPLICATION_ID: Final = 0x53425768
"""`SBWh` in ASCII."""
FILE_MODE: Final = 0o600
BUSY_TIMEOUT_MS: Final = 5_000

_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS destination (
    destination_id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    document TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS destination_of_account ON destination (account_id, created_ms);

CREATE TABLE IF NOT EXISTS run (
    run_key INTEGER PRIMARY KEY AUTOINCREMENT,
    destination_id TEXT NOT NULL,
    kind INTEGER NOT NULL,
    position INTEGER NOT NULL,
    end_sequence INTEGER,
    session_id TEXT,
    since_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS run_of_destination ON run (destination_id);

CREATE TABLE IF NOT EXISTS lagging_session (
    run_key INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (run_key, session_id)
) WITHOUT ROWID, STRICT;

CREATE TABLE IF NOT EXISTS delivery (
    delivery_key INTEGER PRIMARY KEY AUTOINCREMENT,
    destination_id TEXT NOT NULL,
    run_key INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    name TEXT NOT NULL,
    session_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    next_ms INTEGER,
    UNIQUE (destination_id, run_key, sequence)
) STRICT;
CREATE INDEX IF NOT EXISTS delivery_of_destination ON delivery (destination_id, delivery_key);

CREATE TABLE IF NOT EXISTS dead_letter (
    destination_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    name TEXT NOT NULL,
    session_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    status INTEGER,
    error TEXT NOT NULL,
    died_ms INTEGER NOT NULL,
    PRIMARY KEY (destination_id, sequence)
) WITHOUT ROWID, STRICT;

CREATE TABLE IF NOT EXISTS test_request (
    request_key INTEGER PRIMARY KEY AUTOINCREMENT,
    destination_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    requested_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS backlog (
    destination_id TEXT PRIMARY KEY,
    pending INTEGER NOT NULL,
    is_complete INTEGER NOT NULL,
    oldest_sequence INTEGER,
    blocked_sessions INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    dead INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
COMMIT;
"""
_VERSION = 1


class RunKind(IntEnum):
    """Which events a run delivers. The numbers are stored."""

    LIVE = 0
    REPLAY = 1
    DEAD_LETTERS = 2


class DeliveryOrigin(StrEnum):
    """Why an event is delivered. TEST is no event of the book."""

    LIVE = "live"
    REPLAY = "replay"
    TEST = "test"


class WebhookFile:
    """Implements `WebhookTables`."""

    def __init__(self, path: Path, *, is_synced: bool = True) -> None:
        """Open the file, and create it if it is missing. Raises WebhookStorageError."""
        self._connection = open_webhook_file(path, is_synced=is_synced)

    @property
    def place(self) -> str:
        """See `WebhookTables`."""
        return self._connection.filename

    def rows(self, statement: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `WebhookTables`."""
        with self._failures():
            found: list[tuple[Any, ...]] = self._connection.execute(statement, parameters).fetchall()
            return found

    def many(self, statement: str, parameters: Sequence[Mapping[str, Any] | Sequence[Any]]) -> None:
        """See `WebhookTables`."""
        with self._failures():
            self._connection.executemany(statement, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `WebhookTables`."""
        with self._failures(), transaction(self._connection):
            yield

    def version(self) -> object:
        """See `WebhookTables`. Each writing connection changes it (PRAGMA data_version)."""
        with self._failures():
            return self._connection.pragma("data_version")

    def owned_accounts(self) -> None:
        """See `WebhookTables`: the server of the data folder has all accounts."""

    def may_write(self) -> bool:
        """See `WebhookTables`."""
        return True

    def close(self) -> None:
        """See `WebhookTables`."""
        self._connection.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            kind = WebhooksBusyError if isinstance(error, apsw.BusyError) else WebhookStorageError
            raise kind(f"{self._connection.filename} cannot be used: {error}") from error


def open_webhook_file(path: Path, *, is_synced: bool = True) -> apsw.Connection:
    """Open the file, and create it with mode 0600 if it is missing. With `is_synced`, each commit is synced to disk.

    Raises WebhookStorageError.
    """
    try:
        with _locked(path.parent):
            if not path.exists():
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                _prepare(connection, path, is_synced=is_synced)
            except BaseException:
                connection.close()
                raise
    except (apsw.Error, OSError) as error:
        raise WebhookStorageError(f"{path} cannot be used: {error}") from error
    return connection


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one opener at a time find out what the file is, and make it: SQLite does not wait to switch to its log.

    The folder is locked and not the file, which is opened by SQLite only: a close of any other descriptor of it would
    drop the locks of all connections of this process ("How To Corrupt An SQLite Database File", section 2.2).
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _prepare(connection: apsw.Connection, path: Path, *, is_synced: bool) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    found, version = connection.pragma("application_id"), connection.pragma("user_version")
    if (found, version) != (APPLICATION_ID, _VERSION):
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0]
        if found not in (0, APPLICATION_ID) or (tables and not found):
            raise WebhookStorageError(f"{path} is a database of another program: move it away")
        if found:
            raise WebhookStorageError(f"{path} is of version {version}: install the Stagebook that has written it")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute(_TABLES).fetchall()
    connection.execute(f"PRAGMA synchronous = {'FULL' if is_synced else 'NORMAL'}").fetchall()


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """A writing transaction: committed at the end of the block, rolled back if it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
