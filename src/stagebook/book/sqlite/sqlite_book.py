"""The book on SQLite: the port's Book put together from its parts. Owns their order at open and close."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from stagebook.book.changes import Change
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.change_rows import Changes
from stagebook.book.sqlite.reader import SqliteReader
from stagebook.book.sqlite.row_keys import Keys
from stagebook.book.sqlite.schema import open_for_reading, open_for_writing
from stagebook.book.sqlite.writer import QueuedTransaction, Writer
from stagebook.book.store import BookFailedError, Durable, Submission


class SqliteBook(SqliteReader):
    """The one writing book of a data folder. Its reads run on a connection of their own, on the caller's thread.

    A transaction that contradicts the book fails alone, in `submit`. One that SQLite refuses nevertheless, or cannot
    write, fails the book: whole groups are committed, so there is no telling whose fault it is.
    """

    @classmethod
    def open(
        cls, path: Path, *, loop: asyncio.AbstractEventLoop | None = None, show_deleted_history: bool = False
    ) -> Self:
        """Open or make the book at `path`, an absolute or relative path of a file in an existing folder.

        `loop` is the event loop that will submit, by default the running one. With `show_deleted_history`, sessions,
        participants and events of deleted stages can still be read. Raises BookRefusedError.
        """
        lock = BookLock.take(path)
        try:
            return cls(path, lock, loop=loop or asyncio.get_running_loop(), show_deleted_history=show_deleted_history)
        except BaseException:
            lock.release()
            raise

    def __init__(
        self, path: Path, lock: BookLock, *, loop: asyncio.AbstractEventLoop, show_deleted_history: bool
    ) -> None:
        """Use `open`. Takes over `lock`, which is held."""
        writing = open_for_writing(path)
        try:
            reading = open_for_reading(path)
        except BaseException:
            writing.close()
            raise
        super().__init__(reading, show_deleted_history=show_deleted_history)
        self._lock = lock
        self._writing = writing
        self._loop = loop
        self._keys = Keys(reading)
        self._changes = Changes(self._keys, last_sequence=self.last_sequence())
        self._backlog = 0
        self._closing = False
        self._writer = Writer(writing, loop=loop, on_durable=self._note_durable)

    @property
    def backlog(self) -> int:
        """How many transactions were submitted and are not yet durable."""
        return self._backlog

    def submit(self, changes: Sequence[Change]) -> Submission:
        """Take a transaction; see the port. Raises BookFailedError or ChangeRefusedError."""
        if self._closing:
            raise BookFailedError("the book is closed")
        sequences, row_texts = self._changes.translate(changes)
        durable = Durable(loop=self._loop)
        self._writer.put(
            QueuedTransaction(row_texts=row_texts, last_sequence=self._changes.last_sequence, durable=durable)
        )
        self._backlog += 1
        return Submission(sequences=sequences, durable=durable)

    async def wait_ended(self) -> BookFailedError | None:
        """Wait until the book takes nothing more; return the failure that closed it, or None after `close`."""
        return await self._writer.wait_ended()

    async def close(self) -> None:
        """Commit what was submitted, close both connections, let the next writer in. Idempotent."""
        self._closing = True
        await self._writer.stop()
        # The connection that may write last: then SQLite takes the log away and the book is one file.
        self.close_reading()
        self._writing.close()
        self._lock.release()

    def _note_durable(self, count: int) -> None:
        self._backlog -= count
        if self._backlog == 0:
            self._keys.forget_idle_stages()
