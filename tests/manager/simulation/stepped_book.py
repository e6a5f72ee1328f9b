"""The SQLite book with a writer that the scheduler steps: slow, failing and crashing commits.

Everything but the writer thread is the real book: the translation to rows, the SQL, the file, the recovery at the next
open. A commit has two steps here. `write` makes a group of transactions durable in the file; `report` tells the server
so. A crash can come before, during and after either of them.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from queue import Queue
from typing import Any, TypeAlias, TypeVar
from unittest.mock import patch

import apsw

from stagebook.book.book_errors import BookFailedError
from stagebook.book.postgres.postgres_book import NodeDescription, PostgresBook
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_committer import SqliteCommitter
from stagebook.book.store import BookReader, Durable
from stagebook.book.tables.change_rows import TransactionRows
from stagebook.book.tables.writer import table_book
from stagebook.book.tables.writer.group_committer import GroupCommitter, TransactionGroup
from stagebook.book.tables.writer.group_writer import GroupWriter
from tests.book.distant_book import with_loaded_keys
from tests.book.sample import ACCOUNT, open_book, read_secret

_EXPIRE = "UPDATE node_run SET heartbeat_at = heartbeat_at - interval '1 minute' WHERE run_id <> %s"
Result = TypeVar("Result")


class _CrashingConnection:
    """A connection that fails when a transaction is about to be committed."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *arguments: object) -> object:
        is_single = not self._connection.in_transaction and not statement.startswith("BEGIN")
        if is_single:
            self._connection.execute("BEGIN")  # a single statement is a transaction by itself, which fails at its end
        if statement != "COMMIT":
            done = self._connection.execute(statement, *arguments)  # type: ignore[arg-type]  # passed on
            if not is_single:
                return done
        raise apsw.IOError("simulated: the disk does not answer")


class SteppedWriter(GroupWriter[Any]):
    """A writer without a thread. Each transaction is a group, so that a crash can come between any two of them."""

    def __init__(
        self,
        committer: GroupCommitter[Any],
        *,
        loop: asyncio.AbstractEventLoop,
        on_durable: Callable[[int], None],
    ) -> None:
        if isinstance(committer, SqliteCommitter):
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
            self._committer.commit(group)
        self.written.extend(written)

    def report(self) -> None:
        """Report to the server which transactions are durable."""
        written, self.written = self.written, []
        for group in written:
            self._resolve(group)

    def fail(self) -> None:
        """Fail the next commit in the middle, and with it the book."""
        waiting, self.waiting = self.waiting, []
        error = self._crash_in_commit(waiting[0]) if waiting else apsw.IOError("simulated: the disk is full")
        self._queue = Queue()  # the base class fails the groups that wait in it
        for group in waiting:
            self._queue.put(group)
        self._fail(None, error)
        self._end()

    def _crash_in_commit(self, group: TransactionGroup) -> Exception:
        """Begin to commit a group; return the error that ends it."""
        committer = self._committer
        if not isinstance(committer, SqliteCommitter):
            return BookFailedError("simulated: the database is gone")  # a group is one statement
        connection = committer._connection
        committer._connection = _CrashingConnection(connection)  # type: ignore[assignment]  # all that a commit needs
        try:
            committer.commit(group)
        except apsw.Error as error:
            return error
        finally:
            committer._connection = connection
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise AssertionError("the commit did not fail")

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


class SteppedPostgresBook(PostgresBook):
    """A book in PostgreSQL that reads what it lacks at once. Everything that a decision reads is at hand."""

    async def read(self, _account_id: str | None, read: Callable[[BookReader], Result]) -> Result:
        return read(self)

    async def has_had(self, arn: str) -> bool:
        return self.has_had_stage(arn) or self.compositions.find(arn) is not None

    def is_participant_fetched(self, stage_arn: str, session_id: str, participant_id: str) -> bool:  # noqa: ARG002
        return True

    async def fetch_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """Do nothing."""

    async def fetch_session(self, stage_arn: str, session_id: str) -> None:
        """Do nothing."""

    def forget_participant(self, stage_arn: str, session_id: str, participant_id: str) -> None:
        """Do nothing."""

    def _refill_soon(self) -> None:
        """Do nothing: a key that is needed is fetched at once, without a thread."""


SimulatedBook: TypeAlias = SqliteBook | SteppedPostgresBook


@contextmanager
def stepped_book(place: Path | str, *, is_distant: bool) -> Iterator[tuple[SimulatedBook, SteppedWriter]]:
    """Open a book with a stepped writer, for a `DistantBook` in front of it or not. `place` is a path or a URL.

    Leaving is a crash unless the book was closed.
    """
    with patch.object(table_book, "GroupWriter", SteppedWriter), with_loaded_keys() if is_distant else nullcontext():
        book = _open_postgres(place) if isinstance(place, str) else open_book(place, show_deleted_history=True)
    writer = book._writer
    assert isinstance(writer, SteppedWriter)
    try:
        yield book, writer
    finally:
        abandon(book)


def _open_postgres(url: str) -> SteppedPostgresBook:
    """Open the book as a node that takes the account of the simulation from its dead predecessor."""
    book = SteppedPostgresBook.open(
        url,
        node=NodeDescription(name="simulated"),
        read_secret=read_secret,
        show_deleted_history=True,
        reads_row_keys=True,
    )
    book._acquisition._connection.execute(_EXPIRE, (book.run_id,))
    assert book.acquire_at_once(ACCOUNT)
    return book


def abandon(book: SimulatedBook) -> None:
    """Close the files or connections of a book as the end of its process does: nothing more is written."""
    book._closing = True
    book.close_reading()
    if isinstance(book, SteppedPostgresBook):
        book._committer.finish(is_failed=True)
        book._acquisition._connection.close()
    else:
        book._writing.close()
        book._lock.release()
