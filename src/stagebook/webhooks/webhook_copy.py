"""The tables of a file of webhooks, with those of bearer keys, for `stagebook book copy`.

A connection to a database in memory has the file attached, and the bearer keys as a table: a data folder has them in a
file of another kind, which the caller reads and writes. A target is written to a file whose name ends in `.copying`,
and gets its name when it is complete.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

import apsw

from stagebook.book.book_errors import BookFailedError
from stagebook.book.copying.copied_tables import COUNTED_SHARED, SHARED_TABLES, CopiedTable
from stagebook.book.copying.sqlite_copy import PARTIAL_SUFFIX, SqliteRows
from stagebook.book.tables.rows import Row
from stagebook.webhooks.webhook_file import open_webhook_file
from stagebook.webhooks.webhook_tables import WebhookStorageError

BEARER_KEY_TABLE: Final = "bearer_key"
_BEARER_KEYS: Final = "CREATE TABLE bearer_key (key_id TEXT PRIMARY KEY, document TEXT, created_ms INTEGER)"
_DOCUMENTS: Final = "SELECT document FROM bearer_key ORDER BY created_ms, key_id"
_ADD_KEY: Final = "INSERT INTO bearer_key VALUES (?, ?, ?)"
_COUNTER: Final = "SELECT coalesce((SELECT seq FROM webhooks.sqlite_sequence WHERE name = ?), 0)"
_FORGET_COUNTER: Final = "DELETE FROM webhooks.sqlite_sequence WHERE name = ?"
_SET_COUNTER: Final = "INSERT INTO webhooks.sqlite_sequence (name, seq) VALUES (?, ?)"


class _FileTables(SqliteRows):
    """The tables of a file, and of bearer keys, which are rows of table `bearer_key`."""

    def __init__(self, path: Path, bearer_keys: Iterable[Row], *, place: str) -> None:
        _prepare(path)
        super().__init__(apsw.Connection(":memory:"), place)
        self._execute(_BEARER_KEYS)
        self._execute(_ADD_KEY, list(bearer_keys))
        self._connection.execute("ATTACH ? AS webhooks", (str(path),)).fetchall()
        # One moment of the file: the transaction begins with the first read.
        self._execute("BEGIN; SELECT count(*) FROM webhooks.run")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def shared_counters(self) -> dict[str, int]:
        """Return the largest keys of the tables of webhooks."""
        return {name: int(self._rows(_COUNTER, (name,))[0][0]) for name in COUNTED_SHARED}

    def _execute(self, statement: str, rows: Sequence[Row] | None = None) -> None:
        try:
            if rows is None:
                self._connection.execute(statement).fetchall()
            else:
                self._connection.executemany(statement, rows)
        except apsw.Error as error:
            raise BookFailedError(f"the webhooks of {self.place} cannot be used: {error}") from error


class WebhookFileSource(_FileTables):
    """Implements `SharedRows`. Leaving the context closes it."""

    def __init__(self, path: Path, bearer_keys: Iterable[Row], *, place: str) -> None:
        """Open the file at `path`; one that is missing has no rows, and is not made. Raises BookFailedError."""
        self._scratch = TemporaryDirectory(prefix="stagebook-copy-")
        try:
            super().__init__(path if path.exists() else Path(self._scratch.name) / path.name, bearer_keys, place=place)
        except BaseException:
            self._scratch.cleanup()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._scratch.cleanup()


class WebhookFileTarget(_FileTables):
    """The new file of a copy. Leaving the context without `complete` leaves nothing."""

    def __init__(self, path: Path, *, place: str) -> None:
        """Begin a file that will replace the one at `path`, which has no rows. Raises BookFailedError."""
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        _unlink(self._partial)
        super().__init__(self._partial, (), place=place)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        _unlink(self._partial)

    def insert(self, table: CopiedTable, rows: Sequence[Row]) -> None:
        """Add rows of a table."""
        values = ", ".join("?" for _ in table.columns)
        self._execute(f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values})", rows)  # noqa: S608 - names of SHARED_TABLES

    def end_table(self, table: CopiedTable) -> None:
        """All rows of a table were added."""

    def set_shared_counters(self, counters: Mapping[str, int]) -> None:
        """Let the next keys be larger than these."""
        for name, value in counters.items():
            self._execute(_FORGET_COUNTER, [(name,)])
            self._execute(_SET_COUNTER, [(name, value)])

    def bearer_keys(self) -> list[str]:
        """Return the documents of the bearer keys that were added, oldest first."""
        return [document for (document,) in self._rows(_DOCUMENTS)]

    def complete(self) -> None:
        """Give the file its name, if it has rows. Raises BookFailedError."""
        has_webhooks = any(self.count(table) for table in SHARED_TABLES if table.name != BEARER_KEY_TABLE)
        self._execute("COMMIT")
        self._connection.close()
        if not has_webhooks:
            return
        try:
            # A file without rows may have a write-ahead log, which does not fit the new one.
            _unlink(self._path)
            self._partial.replace(self._path)
        except OSError as error:
            raise BookFailedError(f"the webhooks of {self.place} cannot be written: {error.strerror}") from error


def _prepare(path: Path) -> None:
    """Make the file of webhooks with its tables, unless there is one. Raises BookFailedError."""
    try:
        open_webhook_file(path).close()
    except WebhookStorageError as error:
        raise BookFailedError(str(error)) from error


def _unlink(path: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
