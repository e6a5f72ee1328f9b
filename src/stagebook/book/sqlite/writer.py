"""The writer thread: it commits queued transactions in groups (group commit).

A commit waits for a sync to disk, which takes about as long for a thousand transactions as for one. So the thread takes
every transaction that is queued, writes all of them in one SQLite transaction, and then completes their futures on the
event loop. While one group is being committed, the next one accumulates in the queue.

    queue -> take a group -> BEGIN IMMEDIATE, insert rows, COMMIT -> check that the files are in place
          -> complete the futures on the event loop

The first failure ends the thread: it fails the futures of the group and of everything queued behind it, and `put`
refuses further transactions.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

import apsw
import msgspec

from stagebook.book.sqlite.book_files import BookFiles
from stagebook.book.sqlite.change_rows import STATEMENTS, TransactionRows
from stagebook.book.store import BookFailedError

MAXIMUM_GROUP_TRANSACTIONS = 1_000
"""Maximum size of a group: large enough to amortise the sync to disk, small enough to keep the latency low."""


class QueuedTransaction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A transaction in the queue. `last_sequence` is the newest sequence number assigned up to and including it.

    It is never part of a reference cycle, so it is not tracked by the garbage collector (`gc=False`).
    """

    rows: TransactionRows
    last_sequence: int
    durable: asyncio.Future[None]


class BookWriter:
    """Owns the writing connection and the writer thread until `stop` has returned.

    All methods must be called on the event loop's thread. `on_durable` is called on it too, with the number of
    transactions whose futures were just completed.
    """

    def __init__(
        self, connection: apsw.Connection, *, loop: asyncio.AbstractEventLoop, on_durable: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._files = BookFiles(connection)
        self._loop = loop
        self._on_durable = on_durable
        self._queue: SimpleQueue[QueuedTransaction | None] = SimpleQueue()
        self._failure: BookFailedError | None = None
        self._ended: asyncio.Future[None] = loop.create_future()
        # A daemon thread, so that a program that does not close its book can exit.
        self._thread = threading.Thread(target=self._run, name="stagebook-book-writer", daemon=True)
        self._thread.start()

    def put(self, transaction: QueuedTransaction) -> None:
        """Queue a transaction. Raises BookFailedError if an earlier commit failed."""
        if self._failure is not None:
            raise BookFailedError(str(self._failure)) from self._failure
        self._queue.put(transaction)

    async def wait_ended(self) -> BookFailedError | None:
        """Wait until the writer has ended. Return the failure that ended it, or None after `stop`."""
        await asyncio.shield(self._ended)
        return self._failure

    async def stop(self) -> None:
        """Commit every queued transaction and end the thread. Can be awaited several times."""
        self._queue.put(None)
        # Shielded: a cancelled `stop` must not cancel the future that others wait for.
        await asyncio.shield(self._ended)
        self._thread.join()

    def _run(self) -> None:
        group: list[QueuedTransaction] = []
        try:
            stopping = False
            while not stopping:
                group, stopping = self._take_group()
                if group:
                    self._commit(group)
                    # After the commit and before it is acknowledged: what is written to a deleted file is lost.
                    self._files.require_in_place()
                    self._call_on_loop(self._resolve, group)
        except Exception as error:  # noqa: BLE001 - every failure must reach the futures, or their tasks wait forever
            self._call_on_loop(self._fail, group, error)
        finally:
            self._truncate_wal()
            self._call_on_loop(self._end)

    def _take_group(self) -> tuple[list[QueuedTransaction], bool]:
        """Wait for a transaction; return it with those queued behind it, and whether `stop` was called."""
        group: list[QueuedTransaction] = []
        try:
            item = self._queue.get()
            while item is not None:
                group.append(item)
                if len(group) == MAXIMUM_GROUP_TRANSACTIONS:
                    return group, False
                item = self._queue.get_nowait()
        except Empty:
            return group, False
        return group, True

    def _commit(self, group: list[QueuedTransaction]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        rows_by_statement: list[list[str]] = [[] for _ in STATEMENTS]
        for transaction in group:
            for index, encoded_rows in transaction.rows:
                rows_by_statement[index].append(encoded_rows)
        # The order of the tables does not matter: there are no foreign keys, and keys were assigned before.
        for statement, encoded in zip(STATEMENTS, rows_by_statement, strict=True):
            if encoded:
                execute(statement, ("[" + ",".join(encoded) + "]",))
        execute("UPDATE sequencer SET last_sequence = ?", (group[-1].last_sequence,))
        execute("COMMIT")

    def _truncate_wal(self) -> None:
        # Optional: the next open replays a WAL that stays. So a failure here loses nothing.
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _call_on_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        # RuntimeError: the loop is closed, so no task waits for the futures.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _resolve(self, group: list[QueuedTransaction]) -> None:
        for transaction in group:
            if not transaction.durable.done():
                transaction.durable.set_result(None)
        self._on_durable(len(group))

    def _fail(self, group: list[QueuedTransaction], error: Exception) -> None:
        """Fail the futures of the group that could not be committed and of every transaction queued behind it."""
        self._failure = BookFailedError(f"the book could not be written: {error}")
        self._failure.__cause__ = error
        waiting: list[QueuedTransaction | None] = list(group)
        with contextlib.suppress(Empty):
            while True:
                waiting.append(self._queue.get_nowait())
        for transaction in waiting:
            if transaction is not None and not transaction.durable.done():
                transaction.durable.set_exception(self._failure)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
