"""The webhooks and the bearer keys of a data folder as tables, for `stagebook book copy`.

A folder has webhooks in `webhooks.sqlite3` and bearer keys in `bearer-keys.json`. A connection to a database in memory
has the keys as a table, and the file attached. A target is written to a file whose name ends in `.copying`; it gets its
name when it is complete, and the keys are written then.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

import apsw
import msgspec

from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.book.copying.copied_tables import COUNTED_SHARED, SHARED_TABLES, CopiedTable
from stagebook.book.copying.sqlite_copy import PARTIAL_SUFFIX, SqliteRows
from stagebook.book.store import BookFailedError, BookRefusedError
from stagebook.book.tables.rows import Row
from stagebook.data_folder.bearer_key_file import VERSION, BearerKeyDocument, BearerKeyFile
from stagebook.data_folder.secrets import DataFolder, write_atomically
from stagebook.webhooks.webhook_file import open_webhook_file
from stagebook.webhooks.webhook_tables import WebhookStorageError

WEBHOOK_FILE_NAME: Final = "webhooks.sqlite3"
BEARER_KEY_TABLE: Final = "bearer_key"
_BEARER_KEYS: Final = "CREATE TABLE bearer_key (key_id TEXT PRIMARY KEY, document TEXT, created_ms INTEGER)"
_DOCUMENTS: Final = "SELECT document FROM bearer_key ORDER BY created_ms, key_id"
_ADD_KEY: Final = "INSERT INTO bearer_key VALUES (?, ?, ?)"
_COUNTER: Final = "SELECT coalesce((SELECT seq FROM webhooks.sqlite_sequence WHERE name = ?), 0)"
_FORGET_COUNTER: Final = "DELETE FROM webhooks.sqlite_sequence WHERE name = ?"
_SET_COUNTER: Final = "INSERT INTO webhooks.sqlite_sequence (name, seq) VALUES (?, ?)"


class _SharedFiles(SqliteRows):
    """The tables of a file of webhooks, which may not exist, and of bearer keys."""

    def __init__(self, file_path: Path, keys: Sequence[BearerKey], *, place: str) -> None:
        connection = apsw.Connection(":memory:")
        super().__init__(connection, place)
        connection.execute(_BEARER_KEYS)
        rows = [(key.key_id, msgspec.json.encode(key).decode(), key.created_ms) for key in keys]
        connection.executemany(_ADD_KEY, rows)
        # One moment of the file: the transaction begins with the first read.
        connection.execute("ATTACH ? AS webhooks", (str(file_path),)).fetchall()
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


class SharedFilesSource(_SharedFiles):
    """Implements `SharedRows`. Leaving the context closes it."""

    def __init__(self, folder: DataFolder) -> None:
        """Open the files. Those that are missing have no rows. Raises BookFailedError and DataFolderError."""
        # Nothing is made in the folder of a source.
        self._scratch = TemporaryDirectory(prefix="stagebook-copy-")
        path = folder.webhook_path if folder.webhook_path.exists() else Path(self._scratch.name) / WEBHOOK_FILE_NAME
        try:
            _prepare(path)
            super().__init__(path, BearerKeyFile(folder.path).read(), place=str(folder.path))
        except BaseException:
            self._scratch.cleanup()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._scratch.cleanup()


class SharedFilesTarget(_SharedFiles):
    """Implements `SharedTarget`. Leaving the context without `complete_shared` leaves nothing."""

    def __init__(self, folder: DataFolder) -> None:
        """Begin new files. Raises BookRefusedError if the folder has webhooks or bearer keys."""
        self._folder = folder
        with SharedFilesSource(folder) as present:
            for table in SHARED_TABLES:
                if present.count(table):
                    raise BookRefusedError(
                        f"{folder.path} has rows of {table.name}: a copy replaces no webhooks and no bearer keys"
                    )
        self._partial = folder.webhook_path.with_name(folder.webhook_path.name + PARTIAL_SUFFIX)
        _unlink(self._partial)
        _prepare(self._partial)
        super().__init__(self._partial, (), place=str(folder.path))

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

    def complete_shared(self) -> None:
        """Give the files their names, if there is anything in them."""
        has_webhooks = any(self.count(table) for table in SHARED_TABLES if table.name != BEARER_KEY_TABLE)
        documents = [document for (document,) in self._rows(_DOCUMENTS)]
        self._execute("COMMIT")
        self._connection.close()
        try:
            keys = tuple(msgspec.json.decode(document, type=BearerKey) for document in documents)
            if keys:
                content = msgspec.json.encode(BearerKeyDocument(version=VERSION, keys=keys))
                write_atomically(BearerKeyFile(self._folder.path).path, msgspec.json.format(content) + b"\n")
            if has_webhooks:
                # A file without rows may have a write-ahead log, which does not fit the new one.
                _unlink(self._folder.webhook_path)
                self._partial.replace(self._folder.webhook_path)
        except (OSError, msgspec.MsgspecError) as error:
            raise BookFailedError(f"the webhooks and bearer keys of {self.place} cannot be written: {error}") from error


def _prepare(path: Path) -> None:
    """Make the file of webhooks with its tables, unless there is one. Raises BookFailedError."""
    try:
        open_webhook_file(path).close()
    except WebhookStorageError as error:
        raise BookFailedError(str(error)) from error


def _unlink(path: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
