"""Opens the file of a book for writing or reading, and says why a file cannot be a book.

A book is recognised by its `application_id`. Opening for writing applies the missing migrations (`schema.py`), each in
one transaction.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from stagebook.book.book_errors import BookDamagedError, BookFailedError, BookRefusedError
from stagebook.book.sqlite.open_events import note_unnoted
from stagebook.book.sqlite.schema import (
    APPLICATION_ID,
    FIRST_INGEST_CONFIGURATION,
    MIGRATIONS,
    REWRITTEN_VERSION,
    SEALED_VERSION,
    seal_document,
)
from stagebook.book.tables.rows import resource_value
from stagebook.book.tables.stream_key_seal import SealBrokenError, StreamKeySeal

MINIMUM_SQLITE = (3, 51, 3)
"""Earlier versions can corrupt a database in WAL mode with two connections (sqlite.org/wal.html, the WAL-reset bug)."""

UNREADABLE = (apsw.Error, UnicodeDecodeError)
"""What a read of a damaged file raises: apsw decodes strings, and those of a damaged row may not be UTF-8."""

BUSY_TIMEOUT_MS = 5_000
"""How long a statement waits for a lock. The only writer of a book is the server, but a backup tool, or a reader that
recovers the write-ahead log, can hold a lock for a moment (sqlite.org/wal.html, section 9)."""

INCREMENTAL = 2
"""The value of `auto_vacuum` with which a file gives its free pages back on request (sqlite.org/pragma.html)."""

WRITE_CACHE_SIZE_KIB = 16_384
READ_CACHE_SIZE_KIB = 65_536
"""Large enough for the inner B-tree pages of a large book and its recent leaf pages."""

BOOK_MODE = 0o600
"""The mode of a new book. SQLite gives the write-ahead log and its index the mode of the book (unix VFS)."""

WAL_CHECKPOINT_PAGES = 1_000
"""4 MiB of log between checkpoints. A checkpoint syncs the book itself, so rarer ones cost less. A longer log makes
each read and each commit slower: the log's index chains all versions of a page, and both walk along the chain."""

WAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024
"""The log is cut to this size at a checkpoint. A reader that stays open, for example a backup, lets it grow beyond."""


def open_for_writing(path: Path, *, seal: StreamKeySeal, migrations: Sequence[str] = MIGRATIONS) -> apsw.Connection:
    """Return a writing connection to the book at `path`. Every commit on it is synced to disk.

    The book is created with mode 0600 if it is missing and migrated if it is of an older version; `seal` seals the
    stream keys of one that has them in clear. The caller must hold the BookLock.
    Raises BookRefusedError if the file is not a book, is damaged, is of a newer version or cannot be opened.
    """

    def prepare(connection: apsw.Connection) -> None:
        version = _prepare_writing(connection, path, migrations)
        if version >= SEALED_VERSION:
            _require_secret(connection, path, seal)
        _migrate(connection, migrations, seal, version=version)
        if migrations is MIGRATIONS:
            note_unnoted(connection)

    with _refusals(path):
        _create_private(path)
        return _open(path, prepare, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)


def open_for_reading(
    path: Path, *, migrations: Sequence[str] = MIGRATIONS, cache_size_kib: int = READ_CACHE_SIZE_KIB
) -> apsw.Connection:
    """Return a read-only connection to the existing book at `path`, which keeps pages of at most `cache_size_kib`.

    Raises BookRefusedError as `open_for_writing` does, and for a book of an older version, which it does not migrate.
    """
    with _refusals(path):
        connection = _open(path, lambda connection: _prepare_reading(connection, path, migrations), flags=_READING)
        connection.execute(f"PRAGMA cache_size = -{cache_size_kib}").fetchall()
        return connection


def has_sealed_keys(path: Path) -> bool:
    """Return whether there is a book at `path` that has sealed stream keys.

    Raises BookRefusedError if there is a file that `open_for_writing` would refuse.
    """
    with _refusals(path):
        if not path.exists():
            return False
        connection = _open(path, lambda connection: connection.set_busy_timeout(BUSY_TIMEOUT_MS), flags=_READING)
        try:
            version = _identify(connection, path, MIGRATIONS)
            return version >= SEALED_VERSION and bool(connection.execute(FIRST_INGEST_CONFIGURATION).fetchall())
        finally:
            connection.close()


# Each reader is used by one thread, so SQLite needs no mutex. That saves a fifth of the time of a page.
_READING = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOMUTEX


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Raise BookRefusedError for what goes wrong while the file at `path` is opened."""
    try:
        yield
    except (apsw.Error, OSError, ValueError, BookRefusedError) as error:
        raise _refusal(path, error) from error


def _open(path: Path, prepare: Callable[[apsw.Connection], None], *, flags: int) -> apsw.Connection:
    check_sqlite_version(apsw.sqlite_lib_version())
    connection = apsw.Connection(str(path), flags=flags)
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
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


def _prepare_writing(connection: apsw.Connection, path: Path, migrations: Sequence[str]) -> int:
    """Set up a writing connection; return the version of the book. A file that is refused is not changed."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    version = _identify(connection, path, migrations)
    if version == 0:
        # Before the first page is written. It lets free pages be cut off the file, a few at a time.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    # FULL syncs the WAL at every commit. On macOS, fsync leaves data in the drive's cache; fullfsync flushes it.
    # A statement that deletes through a trigger has a temporary store. In a file it costs more than the rest of the
    # statement; in memory it is bounded by the rows of one group.
    # Deleted rows are overwritten in pages that keep other rows; pages without rows leave the file (retention).
    for setting in (
        "synchronous = FULL",
        "fullfsync = ON",
        "temp_store = MEMORY",
        "secure_delete = FAST",
        f"cache_size = -{WRITE_CACHE_SIZE_KIB}",
        f"wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}",
        f"journal_size_limit = {WAL_SIZE_LIMIT_BYTES}",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    return version


def _require_secret(connection: apsw.Connection, path: Path, seal: StreamKeySeal) -> None:
    """Raise BookRefusedError if `seal` does not open the stream keys. All of a book are sealed with one secret."""
    for row in connection.execute(FIRST_INGEST_CONFIGURATION).fetchall():
        try:
            seal.opened(resource_value(row))
        except SealBrokenError as error:
            raise BookRefusedError(
                f"the stream keys in {path} are sealed with another secret than the one beside it: restore both from "
                "the same backup."
            ) from error


def _migrate(connection: apsw.Connection, migrations: Sequence[str], seal: StreamKeySeal, *, version: int) -> None:
    """Bring a book of this version to the newest one."""
    connection.create_scalar_function("seal_stream_keys", _sealing(seal), 1)
    for number, migration in enumerate(migrations[version:], start=version + 1):
        if number == REWRITTEN_VERSION and connection.execute(FIRST_INGEST_CONFIGURATION).fetchall():
            # The log may hold stream keys in clear as well.
            _rewrite(connection)
        # One transaction, including the header fields: the migration is applied completely or not at all.
        connection.execute(
            f"BEGIN IMMEDIATE; {migration}; PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {number}; COMMIT"
        ).fetchall()


def can_shrink(connection: apsw.Connection) -> bool:
    """Return whether free pages can be cut off the file. They cannot in a book that an earlier Stagebook made."""
    return bool(connection.pragma("auto_vacuum") == INCREMENTAL)


def make_shrinkable(connection: apsw.Connection) -> bool:
    """Rewrite the book so that free pages can be cut off the file. Return whether that was possible.

    It takes as much disk space as the book, in its folder and in the folder of temporary files. Without that, the book
    stays as it is.
    """
    try:
        _rewrite(connection)
    except (apsw.FullError, apsw.CantOpenError, apsw.IOError):
        return False
    return can_shrink(connection)


def _rewrite(connection: apsw.Connection) -> None:
    """Write the whole book anew, and empty the log. The copy that VACUUM makes is a file: it can exceed the memory."""
    try:
        connection.execute(
            "PRAGMA temp_store = FILE; PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"
        ).fetchall()
    finally:
        connection.execute("PRAGMA temp_store = MEMORY").fetchall()


def _sealing(seal: StreamKeySeal) -> Callable[..., str]:
    """Return the function `seal_stream_keys` of the migrations."""

    def seal_stream_keys(*values: object) -> str:
        return seal_document(str(values[0]), seal)

    return seal_stream_keys


def _prepare_reading(connection: apsw.Connection, path: Path, migrations: Sequence[str]) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    if _identify(connection, path, migrations) < len(migrations):
        raise BookRefusedError(f"{path} is an older book: start the server once to bring it up to date.")
    # Query planner stability guarantee: without it, a SQLite built with STAT4 plans a statement again whenever its
    # parameters change, which doubles the time of a page of events (sqlite.org/queryplanner-ng.html, section 4).
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


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
    if isinstance(error, apsw.ConnectionClosedError):
        return BookFailedError("the book is closed")
    path = connection.filename
    if isinstance(error, apsw.Error) and not isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return BookFailedError(f"{path} cannot be read: {error}")
    return BookDamagedError(f"{path} is damaged ({error}). Restore it from a backup.")


def _refusal(path: Path, error: Exception) -> BookRefusedError:
    if isinstance(error, BookRefusedError):
        return error
    if isinstance(error, apsw.NotADBError):
        return BookRefusedError(f"{path} is not a SQLite database. Move it away or choose another data folder.")
    if isinstance(error, apsw.CorruptError | ValueError):
        return BookRefusedError(f"{path} is damaged ({error}). Restore it from a backup.")
    return BookRefusedError(f"{path} cannot be opened as a book: {error}. Check the folder, its rights and the disk.")
