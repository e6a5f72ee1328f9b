"""The tables of the book, their migrations, and the opening of a file for writing or reading.

A book is recognised by its `application_id`. Its version is `PRAGMA user_version`, the number of migrations that have
been applied to it. Opening for writing applies the missing migrations, each in one transaction. A released migration
must not be edited; a change of the tables is a new migration at the end of MIGRATIONS.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from stagebook.book.store import BookDamagedError, BookFailedError, BookRefusedError

APPLICATION_ID = 0x53426F6B
"""`SBok` in ASCII, in bytes 68 to 71 of the file (sqlite.org/fileformat.html, section 1.3.18)."""

MINIMUM_SQLITE = (3, 51, 3)
"""Earlier versions can corrupt a database in WAL mode with two connections (sqlite.org/wal.html, the WAL-reset bug)."""

UNREADABLE = (apsw.Error, UnicodeDecodeError)
"""What a read of a damaged file raises: apsw decodes strings, and those of a damaged row may not be UTF-8."""

BUSY_TIMEOUT_MS = 5_000
"""How long a statement waits for a lock. The only writer of a book is the server, but a backup tool, or a reader that
recovers the write-ahead log, can hold a lock for a moment (sqlite.org/wal.html, section 9)."""

WRITE_CACHE_SIZE_KIB = 16_384
READ_CACHE_SIZE_KIB = 65_536
"""Large enough for the inner B-tree pages of a large book and its recent leaf pages."""

BOOK_MODE = 0o600
"""The mode of a new book. SQLite gives the write-ahead log and its index the mode of the book (unix VFS)."""

WAL_CHECKPOINT_PAGES = 4_000
"""16 MiB of log between checkpoints. A checkpoint syncs the book itself, so rarer ones cost less; a longer log makes
reads slower, since each looks up its pages in the log's index first."""

WAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024
"""The log is cut to this size at a checkpoint. A reader that stays open, for example a backup, lets it grow beyond."""

# Table `event` is clustered by participant, newest first (WITHOUT ROWID): a page of events is one search and a scan of
# neighbouring rows. `number` is a participant's number within its session, which keeps event rows short.
# Names, error codes, causes and states are stored as the index of their enum's member (see rows.py).
_VERSION_1 = """
CREATE TABLE sequencer (
    row_key INTEGER PRIMARY KEY CHECK (row_key = 1),
    last_sequence INTEGER NOT NULL
) STRICT;
INSERT INTO sequencer VALUES (1, 0);

CREATE TABLE stage (
    stage_key INTEGER PRIMARY KEY,
    arn TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    tags TEXT NOT NULL,
    recording TEXT NOT NULL,
    deleted_ms INTEGER
) STRICT;
CREATE INDEX stage_of_account ON stage (account_id) WHERE deleted_ms IS NULL;

CREATE TABLE session (
    session_key INTEGER PRIMARY KEY,
    stage_key INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER,
    UNIQUE (stage_key, session_id)
) STRICT;
CREATE INDEX session_of_stage ON session (stage_key);
CREATE UNIQUE INDEX session_open ON session (stage_key) WHERE end_ms IS NULL;

CREATE TABLE participant (
    session_key INTEGER NOT NULL,
    number INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    state INTEGER NOT NULL,
    published INTEGER NOT NULL,
    first_join_ms INTEGER,
    rest TEXT,
    PRIMARY KEY (session_key, number)
) WITHOUT ROWID, STRICT;
CREATE UNIQUE INDEX participant_by_id ON participant (session_key, participant_id);
CREATE INDEX participant_by_user ON participant (session_key, user_id);
CREATE INDEX participant_by_state ON participant (session_key, state);
CREATE INDEX participant_published ON participant (session_key) WHERE published = 1;

CREATE TABLE event (
    session_key INTEGER NOT NULL,
    participant_number INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    name INTEGER NOT NULL,
    error_code INTEGER,
    remote_participant_id TEXT,
    replica INTEGER NOT NULL,
    cause INTEGER,
    detail TEXT,
    extra BLOB,
    PRIMARY KEY (session_key, participant_number, sequence DESC)
) WITHOUT ROWID, STRICT;

CREATE TABLE revocation (
    stage_key INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    revoked_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (stage_key, participant_id)
) WITHOUT ROWID, STRICT;
"""

# A row of `resource` that is put with the value NULL deletes the resource, by a trigger. One statement therefore both
# creates and deletes, and the changes of a group keep their order. AUTOINCREMENT, because a key is a position in pages
# and must not be reused. Replicas are listed by the participant of the source stage, over all of its sessions.
_VERSION_2 = """
CREATE TABLE resource (
    resource_key INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    value TEXT
) STRICT;
CREATE INDEX resource_of_account ON resource (account_id, resource_type);
CREATE TRIGGER resource_put_without_value AFTER INSERT ON resource WHEN new.value IS NULL
    BEGIN DELETE FROM resource WHERE resource_key = new.resource_key; END;
CREATE TRIGGER resource_changed_to_no_value AFTER UPDATE ON resource WHEN new.value IS NULL
    BEGIN DELETE FROM resource WHERE resource_key = new.resource_key; END;

CREATE TABLE replica (
    replica_key INTEGER PRIMARY KEY,
    source_stage_key INTEGER NOT NULL,
    source_session_key INTEGER NOT NULL,
    participant_id TEXT NOT NULL,
    destination_session_key INTEGER NOT NULL,
    state INTEGER NOT NULL,
    UNIQUE (source_session_key, participant_id, destination_session_key)
) STRICT;
CREATE INDEX replica_of_participant ON replica (source_stage_key, participant_id);
CREATE INDEX replica_active ON replica (replica_key) WHERE state = 0;

CREATE TABLE connection_token_revocation (
    account_id TEXT NOT NULL,
    token_id TEXT NOT NULL,
    revoked_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, token_id)
) WITHOUT ROWID, STRICT;
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1, _VERSION_2)


def open_for_writing(path: Path, *, migrations: Sequence[str] = MIGRATIONS) -> apsw.Connection:
    """Return a writing connection to the book at `path`. Every commit on it is synced to disk.

    The book is created with mode 0600 if it is missing and migrated if it is of an older version. The caller must hold
    the BookLock.
    Raises BookRefusedError if the file is not a book, is damaged, is of a newer version or cannot be opened.
    """
    return _open(path, lambda connection: _prepare_writing(connection, path, migrations), writable=True)


def open_for_reading(path: Path, *, migrations: Sequence[str] = MIGRATIONS) -> apsw.Connection:
    """Return a read-only connection to the existing book at `path`.

    Raises BookRefusedError as `open_for_writing` does, and for a book of an older version, which it does not migrate.
    """
    return _open(path, lambda connection: _prepare_reading(connection, path, migrations), writable=False)


def _open(path: Path, prepare: Callable[[apsw.Connection], None], *, writable: bool) -> apsw.Connection:
    check_sqlite_version(apsw.sqlite_lib_version())
    # Each reader is used by one thread, so SQLite needs no mutex. That saves a fifth of the time of a page.
    reading = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOMUTEX
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if writable else reading
    connection: apsw.Connection | None = None
    try:
        if writable:
            _create_private(path)
        connection = apsw.Connection(str(path), flags=flags)
        prepare(connection)
    except (apsw.Error, OSError, BookRefusedError) as error:
        if connection is not None:
            connection.close()
        raise _refusal(path, error) from error
    return connection


def _create_private(path: Path) -> None:
    """Create an empty file for a new book. SQLite would create it with mode 0644, whatever the folder holds."""
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, BOOK_MODE)
    except FileExistsError:
        return
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def check_sqlite_version(version: str) -> None:
    """Raise BookRefusedError if this version of SQLite can corrupt a book."""
    if tuple(int(part) for part in version.split(".")[:3]) < MINIMUM_SQLITE:
        needed = ".".join(map(str, MINIMUM_SQLITE))
        raise BookRefusedError(f"SQLite {version} can damage a book: install an apsw with SQLite {needed} or newer.")


def _prepare_writing(connection: apsw.Connection, path: Path, migrations: Sequence[str]) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    version = _identify(connection, path, migrations)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    # FULL syncs the WAL at every commit. On macOS, fsync leaves data in the drive's cache; fullfsync flushes it.
    for setting in (
        "synchronous = FULL",
        "fullfsync = ON",
        f"cache_size = -{WRITE_CACHE_SIZE_KIB}",
        f"wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}",
        f"journal_size_limit = {WAL_SIZE_LIMIT_BYTES}",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    for number, migration in enumerate(migrations[version:], start=version + 1):
        # One transaction, including the header fields: the migration is applied completely or not at all.
        connection.execute(
            f"BEGIN IMMEDIATE; {migration}; PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {number}; COMMIT"
        ).fetchall()


def _prepare_reading(connection: apsw.Connection, path: Path, migrations: Sequence[str]) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    if _identify(connection, path, migrations) < len(migrations):
        raise BookRefusedError(f"{path} is an older book: start the server once to bring it up to date.")
    # Query planner stability guarantee: without it, a SQLite built with STAT4 plans a statement again whenever its
    # parameters change, which doubles the time of a page of events (sqlite.org/queryplanner-ng.html, section 4).
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.execute(f"PRAGMA cache_size = -{READ_CACHE_SIZE_KIB}").fetchall()


def _identify(connection: apsw.Connection, path: Path, migrations: Sequence[str]) -> int:
    """Return the version of the book, 0 for a new file. Raises BookRefusedError. Does not change the file."""
    application_id = connection.pragma("application_id")
    version = connection.pragma("user_version")
    assert isinstance(version, int)  # noqa: S101 - documented by SQLite, for the type checker
    if application_id != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0]
        if application_id != 0 or version != 0 or tables != 0:
            raise BookRefusedError(
                f"{path} is a SQLite database of another program. Move it away or choose another data folder."
            )
    if version > len(migrations):
        raise BookRefusedError(
            f"{path} is a book of version {version}, this Stagebook supports versions up to {len(migrations)}. "
            "Install a newer Stagebook, or choose another data folder."
        )
    return version


def read_failure(connection: apsw.Connection, error: Exception) -> BookFailedError:
    """Return the error of a read that SQLite could not serve or whose rows cannot be decoded.

    SQLite has no checksums. It notices a damaged page by its structure; other damage shows as values that no writer
    of a book stores, which the conversion of rows refuses.
    """
    path = connection.filename
    if isinstance(error, apsw.Error) and not isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return BookFailedError(f"{path} cannot be read: {error}")
    return BookDamagedError(f"{path} is damaged ({error}). Restore it from a backup.")


def _refusal(path: Path, error: Exception) -> BookRefusedError:
    if isinstance(error, BookRefusedError):
        return error
    if isinstance(error, apsw.NotADBError):
        return BookRefusedError(f"{path} is not a SQLite database. Move it away or choose another data folder.")
    if isinstance(error, apsw.CorruptError):
        return BookRefusedError(f"{path} is damaged ({error}). Restore it from a backup.")
    return BookRefusedError(f"{path} cannot be opened as a book: {error}. Check the folder, its rights and the disk.")
