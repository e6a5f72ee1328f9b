"""The book on SQLite: the implementation of the Book port.

A book uses two connections to one file in WAL mode. The writer thread owns the writing connection; reads run on the
caller's thread on a read-only connection, which neither blocks the writer nor waits for it (sqlite.org/wal.html).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Self, TypeVar

import apsw

from stagebook.book.book_values import RetentionStep
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.book.sqlite.book_connection import (
    can_shrink,
    has_sealed_keys,
    make_shrinkable,
    open_for_writing,
)
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.open_readers import open_connection
from stagebook.book.sqlite.sqlite_committer import SqliteCommitter
from stagebook.book.store import BookReader
from stagebook.book.tables.queries import LAST_SEQUENCE
from stagebook.book.tables.stored_row_keys import StoredRowKeys
from stagebook.book.tables.stream_key_seal import ReadSecret, StreamKeySeal
from stagebook.book.tables.writer.table_book import TableBook

_Result = TypeVar("_Result")


class SqliteBook(TableBook[apsw.Connection]):
    """A book that is open for writing; implements `ServerBook` and `DecisionBook`."""

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        read_secret: ReadSecret,
        lock: BookLock | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        show_deleted_history: bool = False,
    ) -> Self:
        """Open the book at `path` for writing. Create it if it is missing, migrate it if it is of an older version.

        The folder of `path` must exist. `read_secret` reads the secret that stream keys are sealed with; what it raises
        is passed on. `lock` is a lock on `path` that the caller holds already; without it, `open`
        takes one. Closing the book releases the lock, and so does a failure to open it. `loop` is the event loop on
        which transactions are submitted, by default the running one. With `show_deleted_history`, the sessions,
        participants and events of deleted stages can be read.

        Raises BookRefusedError if the file cannot be used as a book, if another process has it open for writing, or if
        its stream keys are sealed with another secret.
        """
        lock = lock or BookLock.take(path)
        try:
            seal = StreamKeySeal(read_secret(may_generate=not has_sealed_keys(path)))
            loop = loop or asyncio.get_running_loop()
            return cls(path, lock, seal=seal, loop=loop, show_deleted_history=show_deleted_history)
        except BaseException:
            lock.release()
            raise

    def __init__(
        self,
        path: Path,
        lock: BookLock,
        *,
        seal: StreamKeySeal,
        loop: asyncio.AbstractEventLoop,
        show_deleted_history: bool,
    ) -> None:
        """Take ownership of `lock`, which must be held. Use `open` instead of calling this directly."""
        writing = open_for_writing(path, seal=seal)
        try:
            reading = open_connection(path)
        except BaseException:
            writing.close()
            raise
        last_sequence = int(reading.rows(LAST_SEQUENCE)[0][0])
        committer = SqliteCommitter(writing, last_sequence=last_sequence)
        self._lock = lock
        self._reading = reading
        self._writing = writing
        self._can_shrink = can_shrink(writing)
        super().__init__(
            reading,
            committer,
            keys=StoredRowKeys.of_one_writer(reading),
            last_sequence=last_sequence,
            seal=seal,
            loop=loop,
            show_deleted_history=show_deleted_history,
        )

    async def read(self, _account_id: str | None, read: Callable[[BookReader], _Result]) -> _Result:
        """Return what `read` returns for this book, at once; see `DecisionBook.read`."""
        return read(self)

    async def has_had(self, arn: str) -> bool:
        """Return whether there is or was a stage or a composition with this ARN."""
        return self.has_had_stage(arn) or self.compositions.find(arn) is not None

    def is_participant_fetched(self, stage_arn: str, session_id: str, participant_id: str) -> bool:  # noqa: ARG002
        """Return True: the file is at hand. So the other methods of `DecisionBook` have nothing to do."""
        return True

    async def fetch_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """Do nothing."""

    async def fetch_session(self, stage_arn: str, session_id: str) -> None:
        """Do nothing."""

    def forget_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """Do nothing."""

    @property
    def can_shrink(self) -> bool:
        """Whether the file becomes shorter when rows are deleted. The book of an earlier Stagebook does not."""
        return self._can_shrink

    async def make_shrinkable(self) -> bool:
        """Rewrite the file so that it can shrink; return whether the disk has the space for that.

        It needs as much space as the book, in its folder and in that of temporary files. Transactions wait meanwhile.
        """
        self._can_shrink = await self._writer.when_idle(make_shrinkable)
        return self._can_shrink

    def delete_old(self, policy: RetentionPolicy, *, now_ms: int) -> AsyncGenerator[RetentionStep]:
        """Delete what is older than `policy` allows at `now_ms`, in steps; see `Book.delete_old`."""
        # Imported late: most servers delete nothing by age.
        from stagebook.book.sqlite.retention.sqlite_retention import SqliteRetention

        return SqliteRetention(self._reading, self._writer, keys=self._keys, policy=policy, now_ms=now_ms).steps()

    async def close(self) -> None:
        """Commit every submitted transaction, close both connections and release the lock. Idempotent."""
        await self._stop_writing()
        # The writing connection closes last: SQLite then removes the WAL, and the book is a single file.
        self.close_reading()
        self._writing.close()
        self._lock.release()
