"""A book on SQLite as the source and as the target of a copy.

A target is written to a file beside the book, whose name ends in `.copying`. It gets the name of the book when it is
complete, so an interrupted copy leaves no book. Until then a crash costs only this file, so it needs no journal and no
sync. The next copy to the same place replaces the file. Indexes are made after the rows, which is faster.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import apsw

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.copying.copied_tables import COPIED_TABLES, OPEN_EVENT, CopiedTable
from stagebook.book.copying.copy_ports import CHUNK_ROWS, KeyCounters
from stagebook.book.sqlite.book_connection import UNREADABLE, open_for_reading, open_for_writing, read_failure
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.open_events import UNNOTED_EVENTS
from stagebook.book.tables.queries import LAST_SEQUENCE
from stagebook.book.tables.rows import Row
from stagebook.book.tables.stored_row_keys import LAST_KEYS
from stagebook.book.tables.stream_key_seal import SECRET_SIZE_BYTES, StreamKeySeal

PARTIAL_SUFFIX: Final = ".copying"
CACHE_SIZE_KIB: Final = 32_768
"""Also what the sort of an index has in memory, before it uses temporary files."""

# What is open after all events of the book, also those that the writer has not noted yet (`open_events.py`). The
# columns of table `open_event`, in the order of the copy.
_OPEN_EVENTS = f"""
SELECT session_key, participant_number, name, about, max(sequence), sum(open_count) AS balance FROM (
    SELECT session_key, participant_number, name, about, sequence, open_count FROM open_event
    UNION ALL
    SELECT session_key, participant_number, name - is_end, about, iif(is_end, 0, sequence), iif(is_end, -1, 1)
    FROM ({UNNOTED_EVENTS}) WHERE name IN (0, 1, 2, 3, 4, 5, 9, 10))
GROUP BY session_key, participant_number, name, about HAVING balance != 0
"""  # noqa: S608 - constants
_LAST_KEY = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"
_SET_LAST_KEY = "UPDATE sqlite_sequence SET seq = max(seq, :key) WHERE name = :name"
_ADD_LAST_KEY = """
INSERT INTO sqlite_sequence (name, seq) SELECT :name, :key
WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :name)
"""
_SET_SEQUENCER = """
UPDATE sequencer SET last_sequence = :last_sequence, noted_sequence = :last_sequence, last_stage_key = :stage_key,
    last_session_key = :session_key
"""
_INDEXES = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
_COUNTED_TABLES: Final = ("resource", "replica", "composition")
"""The tables whose keys SQLite counts (AUTOINCREMENT)."""


class SqliteRows:
    """Reads the tables of a connection."""

    def __init__(self, connection: apsw.Connection, place: str) -> None:
        self._connection = connection
        self.place = place

    def count(self, table: CopiedTable) -> int:
        """Return the number of rows of a table."""
        return int(self._rows(_count(table))[0][0])

    def chunks(self, table: CopiedTable) -> Iterator[list[Row]]:
        """Yield all rows of a table, in the order of its key."""
        try:
            cursor = self._connection.execute(f"{_select(table)} ORDER BY {', '.join(table.key)}")
            while chunk := list(islice(cursor, CHUNK_ROWS)):
                yield chunk
        except UNREADABLE as error:
            raise read_failure(self._connection, error) from error

    def key_counters(self) -> KeyCounters:
        """Return what the book must not give out again."""
        stage_key, session_key = self._rows(LAST_KEYS)[0]
        keys = {f"{name}_key": self._rows(_LAST_KEY, (name,))[0][0] for name in _COUNTED_TABLES}
        last_sequence = self._rows(LAST_SEQUENCE)[0][0]
        return KeyCounters(last_sequence=last_sequence, stage_key=stage_key, session_key=session_key, **keys)

    def _rows(self, statement: str, parameters: Sequence[str] = ()) -> list[Row]:
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except UNREADABLE as error:
            raise read_failure(self._connection, error) from error


class SqliteSource(SqliteRows):
    """Implements `SourceStore`: one read transaction of a book."""

    def __init__(self, path: Path, *, while_running: bool) -> None:
        """Open the book at `path`. The lock of the book is held, so no server can use it, unless `while_running`.

        Raises BookRefusedError.
        """
        if not path.exists():
            raise BookRefusedError(f"there is no book at {path}")
        self._lock = None if while_running else _take(path)
        try:
            super().__init__(open_for_reading(path, cache_size_kib=CACHE_SIZE_KIB), str(path))
            # The snapshot is taken by the first read, not by BEGIN (sqlite.org/lang_transaction.html).
            self._rows("BEGIN; SELECT last_sequence FROM sequencer")
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


class SqliteTarget(SqliteRows):
    """Implements `TargetStore`: a new book file. The lock of the book is held until the end."""

    def __init__(self, path: Path) -> None:
        """Begin a copy to `path`, whose folder exists.

        Raises BookRefusedError if there is a book that has anything, and if a server uses it.
        """
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        self._lock = BookLock.take(path)
        try:
            _require_empty(path)
            _unlink(self._partial)
            # The new book has no stream keys to seal.
            connection = open_for_writing(self._partial, seal=StreamKeySeal(bytes(SECRET_SIZE_BYTES)))
            super().__init__(connection, str(path))
            self._prepare()
        except BaseException:
            self._abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandon()

    def insert(self, table: CopiedTable, rows: Sequence[Row]) -> None:
        """Add rows of a table. They are values of parameters, not JSON as in the writer: no event loop is disturbed."""
        values = ", ".join("CAST(? AS BLOB)" if name in table.binary_columns else "?" for name in table.columns)
        self._execute(f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values})", rows)  # noqa: S608

    def end_table(self, table: CopiedTable) -> None:
        """All rows of a table were added."""

    def set_key_counters(self, counters: KeyCounters) -> None:
        """Let the next keys and sequence numbers be larger than these, and make the indexes."""
        names = ("last_sequence", "stage_key", "session_key")
        self._execute(_SET_SEQUENCER, [{name: getattr(counters, name) for name in names}])
        for name in _COUNTED_TABLES:
            parameters = {"name": name, "key": getattr(counters, f"{name}_key")}
            self._execute(_SET_LAST_KEY, [parameters])
            self._execute(_ADD_LAST_KEY, [parameters])
        self._execute("COMMIT")
        for _, statement in self._indexes:
            self._execute(statement)

    def complete(self) -> None:
        """Make the copy durable, and the book that a server finds."""
        self._execute("PRAGMA synchronous = FULL")
        self._execute("PRAGMA journal_mode = WAL")
        self._connection.close()
        try:
            _sync(self._partial)
            # An empty book may have a write-ahead log, which does not fit the new file.
            _unlink(self._path)
            self._partial.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise BookFailedError(f"{self._path} cannot be written: {error.strerror}") from error

    def _prepare(self) -> None:
        for setting in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "temp_store = FILE",
            f"cache_size = -{CACHE_SIZE_KIB}",
        ):
            self._execute(f"PRAGMA {setting}")
        self._indexes = self._rows(_INDEXES)
        for name, _ in self._indexes:
            self._execute(f"DROP INDEX {name}")
        self._execute("BEGIN")

    def _execute(self, statement: str, rows: Sequence[Row] | Sequence[dict[str, object]] | None = None) -> None:
        try:
            if rows is None:
                self._connection.execute(statement).fetchall()
            else:
                self._connection.executemany(statement, rows)
        except apsw.Error as error:
            raise BookFailedError(f"{self._partial} cannot be written: {error}") from error

    def _abandon(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()
        _unlink(self._partial)
        self._lock.release()


def _take(path: Path) -> BookLock:
    try:
        return BookLock.take(path)
    except BookRefusedError as error:
        raise BookRefusedError(f"{error} Or copy this moment with --while-running.") from error


def _select(table: CopiedTable) -> str:
    if table is OPEN_EVENT:
        return _OPEN_EVENTS
    columns = (f"CAST({name} AS TEXT)" if name in table.binary_columns else name for name in table.columns)
    return f"SELECT {', '.join(columns)} FROM {table.name}"  # noqa: S608 - names of COPIED_TABLES


def _count(table: CopiedTable) -> str:
    what = f"({_OPEN_EVENTS})" if table is OPEN_EVENT else table.name
    return f"SELECT count(*) FROM {what}"  # noqa: S608 - a name of COPIED_TABLES


def _require_empty(path: Path) -> None:
    if not path.exists():
        return
    connection = open_for_reading(path, cache_size_kib=CACHE_SIZE_KIB)
    try:
        rows = SqliteRows(connection, str(path))
        for table in COPIED_TABLES:
            if rows.count(table):
                raise BookRefusedError(
                    f"{path} has rows in table {table.name}: a book is copied only to where no book is, or an empty one"
                )
    finally:
        connection.close()


def _unlink(path: Path) -> None:
    """Delete the files of a book: the logs first, so that none is beside a book that it does not belong to."""
    for suffix in ("-journal", "-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
