"""The one thread that writes: takes all transactions that wait, commits them as one, then tells the event loop.

It knows statements and rows as texts and must not know what they mean.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

import apsw
import msgspec

from stagebook.book.sqlite.change_rows import STATEMENTS, RowTexts
from stagebook.book.store import BookFailedError

MAXIMUM_GROUP_TRANSACTIONS = 1_000
"""Transactions committed together: enough to make the sync to disk cheap, few enough that the first waits shortly."""


class QueuedTransaction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A transaction on its way to the file; `last_sequence` is the sequencer's state after it.

    Never part of a cycle, so the collector need not look at the many of a storm.
    """

    row_texts: RowTexts
    last_sequence: int
    durable: asyncio.Future[None]


class Writer:
    """Uses the writing connection until `stop` has returned. All methods belong to the event loop's thread.

    `on_durable` is called there too, with the number of transactions whose futures were just resolved.
    """

    def __init__(
        self, connection: apsw.Connection, *, loop: asyncio.AbstractEventLoop, on_durable: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._on_durable = on_durable
        self._queue: SimpleQueue[QueuedTransaction | None] = SimpleQueue()
        self._failure: BookFailedError | None = None
        self._ended: asyncio.Future[None] = loop.create_future()
        # A daemon, so that a program that forgot to close its book can still end; what it was not told is not durable.
        self._thread = threading.Thread(target=self._run, name="stagebook-book-writer", daemon=True)
        self._thread.start()

    def put(self, transaction: QueuedTransaction) -> None:
        """Queue a transaction. Raises BookFailedError after a failure."""
        if self._failure is not None:
            raise BookFailedError(str(self._failure)) from self._failure
        self._queue.put(transaction)

    async def wait_ended(self) -> BookFailedError | None:
        """Wait until nothing is written any more; return why, or None if that was asked for."""
        await asyncio.shield(self._ended)
        return self._failure

    async def stop(self) -> None:
        """Commit what is queued and end the thread. May be awaited several times."""
        self._queue.put(None)
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
                    self._tell(self._resolve, group)
        except Exception as error:  # noqa: BLE001 - whatever ends this thread, nobody may wait for it in vain
            self._tell(self._fail, group, error)
        finally:
            self._empty_log()
            self._tell(self._end)

    def _take_group(self) -> tuple[list[QueuedTransaction], bool]:
        """Wait for a transaction and return it with those behind it, and whether the end of the queue was reached."""
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
        of_statement: list[list[str]] = [[] for _ in STATEMENTS]
        for transaction in group:
            for position, text in transaction.row_texts:
                of_statement[position].append(text)
        for statement, texts in zip(STATEMENTS, of_statement, strict=True):
            if texts:
                execute(statement, ("[" + ",".join(texts) + "]",))
        execute("UPDATE sequencer SET last_sequence = ?", (group[-1].last_sequence,))
        execute("COMMIT")

    def _empty_log(self) -> None:
        # Spares the next start the work, no more: a log that stays is read then. So a failure here loses nothing.
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        # RuntimeError: the loop is closed, there is nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _resolve(self, group: list[QueuedTransaction]) -> None:
        for transaction in group:
            if not transaction.durable.done():
                transaction.durable.set_result(None)
        self._on_durable(len(group))

    def _fail(self, group: list[QueuedTransaction], error: Exception) -> None:
        """Fail the group that could not be committed and all that wait behind it. `put` refuses from now on."""
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
