"""The SQLite book with a writer that the scheduler steps: slow, failing and crashing commits.

Everything but the writer thread is the real book: the translation to rows, the SQL, the file, the recovery at the next
open. A commit has two steps here. `write` makes a group of transactions durable in the file; `report` tells the server
so. A crash can come before, during and after either of them.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from unittest.mock import patch

import apsw

from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_committer import SqliteCommitter
from stagebook.book.store import BookFailedError, Durable
from stagebook.book.tables.change_rows import TransactionRows
from stagebook.book.tables.writer import table_book
from stagebook.book.tables.writer.group_committer import GroupCommitter, TransactionGroup
from stagebook.book.tables.writer.group_writer import GroupWriter
from tests.book.distant_book import with_loaded_keys
from tests.book.sample import open_book


class _CrashingConnection:
    """A connection that fails when a transaction is about to be committed."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *arguments: object) -> object:
        if statement == "COMMIT":
            raise apsw.IOError("simulated: the disk does not answer")
        return self._connection.execute(statement, *arguments)  # type: ignore[arg-type]  # passed on


class SteppedWriter(GroupWriter[apsw.Connection]):
    """A writer without a thread. Each transaction is a group, so that a crash can come between any two of them."""

    def __init__(
        self,
        committer: GroupCommitter[apsw.Connection],
        *,
        loop: asyncio.AbstractEventLoop,
        on_durable: Callable[[int], None],
    ) -> None:
        assert isinstance(committer, SqliteCommitter)
        self._sqlite = committer
        committer._connection.execute("PRAGMA synchronous=OFF")  # crashes are simulated above the file system
        super().__init__(committer, loop=loop, on_durable=on_durable)
        self.waiting: list[TransactionGroup] = []
        self.written: list[TransactionGroup] = []

    def _start(self) -> None:
        """Start no thread: the scheduler steps the writer."""

    def put(self, rows: TransactionRows, last_sequence: int, event_sequence: int = 0) -> Durable:
        """Queue a transaction. Raises BookFailedError after a failure."""
        if self._failure is not None:
            raise self._failure
        group = TransactionGroup(Durable(loop=self._loop), opened_at=0.0)
        group.add(rows, last_sequence, event_sequence)
        self.waiting.append(group)
        return group.durable

    def write(self, count: int) -> None:
        """Make the first transactions of the queue durable, without reporting it."""
        written, self.waiting = self.waiting[:count], self.waiting[count:]
        for group in written:
            self._sqlite.commit(group)
        self.written.extend(written)

    def report(self) -> None:
        """Report to the server which transactions are durable."""
        written, self.written = self.written, []
        for group in written:
            self._resolve(group)

    def fail(self) -> None:
        """Fail the next commit in the middle, and with it the book."""
        waiting, self.waiting = self.waiting, []
        connection = self._sqlite._connection
        self._sqlite._connection = _CrashingConnection(connection)  # type: ignore[assignment]  # all that a commit needs
        try:
            if waiting:
                self._sqlite.commit(waiting[0])
            error: Exception = apsw.IOError("simulated: the disk is full")
        except apsw.Error as caught:
            error = caught
        self._sqlite._connection = connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        self._queue = SimpleQueue()  # the base class fails the groups that wait in it
        for group in waiting:
            self._queue.put(group)
        self._fail(None, error)
        self._end()

    def abandon(self) -> None:
        """End as with the process: what was not reported never is."""
        error = BookFailedError("simulated: the process has ended")
        self._failure = self._failure or error
        for group in (*self.written, *self.waiting):
            if not group.durable.done():
                group.durable.set_exception(error)
                group.durable.exception()  # retrieved, as `_fail` does it
        self.written, self.waiting = [], []
        self._end()

    async def stop(self) -> None:
        """Make everything durable and end."""
        if self._failure is None:
            self.write(len(self.waiting))
            self.report()
        self._end()


@contextmanager
def stepped_book(path: Path, *, is_distant: bool) -> Iterator[tuple[SqliteBook, SteppedWriter]]:
    """Open a book with a stepped writer, for a `DistantBook` in front of it or not.

    Leaving is a crash unless the book was closed.
    """
    with patch.object(table_book, "GroupWriter", SteppedWriter), with_loaded_keys() if is_distant else nullcontext():
        book = open_book(path, show_deleted_history=True)
    writer = book._writer
    assert isinstance(writer, SteppedWriter)
    try:
        yield book, writer
    finally:
        abandon(book)


def abandon(book: SqliteBook) -> None:
    """Close the files of a book as the end of its process does: nothing more is written."""
    book._closing = True
    book.close_reading()
    book._writing.close()
    book._lock.release()
