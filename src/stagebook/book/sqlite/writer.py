"""The writer thread: it commits queued transactions in groups (group commit).

A commit waits for a sync to disk, which takes about as long for a thousand transactions as for one. So transactions
that arrive during a commit form a group. When the commit is done, the thread takes the group, writes it in one SQLite
transaction, and completes its future on the event loop.

    transaction -> group that is being filled -> queue -> BEGIN IMMEDIATE, insert rows, COMMIT
          -> check that the files are in place -> complete the group's future on the event loop

A group is queued with its first transaction, and is filled until the thread takes it. Its transactions share one
future, because they become durable together: one future for each would cost more than the transaction's SQL.

Housekeeping (retention) runs on the same thread and connection, between two groups and only while none is queued. Each
piece of it is short, because a transaction that is submitted meanwhile waits for its end.

The first failure ends the thread: it fails the futures of the group and of everything queued behind it, and `put`
refuses further transactions.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import apsw

from stagebook.book.sqlite.book_connection import BUSY_TIMEOUT_MS
from stagebook.book.sqlite.book_files import BookFiles
from stagebook.book.sqlite.open_events import UnnotedEvents
from stagebook.book.sqlite.write_statements import WRITE_STATEMENTS
from stagebook.book.store import BookFailedError, Durable
from stagebook.book.tables.change_rows import EVENTS, ROW_KINDS, TransactionRows
from stagebook.latency_histogram import LatencyHistogram

MAXIMUM_GROUP_TRANSACTIONS = 1_000
"""Maximum size of a group: large enough to amortise the sync to disk, small enough to keep the latency low."""


LATENCY_BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
MAXIMUM_OBSERVED_SUBMITTERS = 32
"""Transactions of a group whose submitters an observer is told."""


class CommitObserver(Protocol):
    """Is told of commits, for traces. Called on the event loop's thread."""

    def submitter(self) -> Any:  # noqa: ANN401 - the observer's own value
        """Return what `committed` is to be told of the task that is submitting a transaction."""

    def committed(self, submitters: list[Any], *, transactions: int, seconds: float) -> None:
        """A group of `transactions` is durable, `seconds` after the first of them was submitted.

        `submitters` are those of its first MAXIMUM_OBSERVED_SUBMITTERS transactions.
        """


CLOSED = "the book is closed"


class TransactionGroup:
    """Transactions that are committed together.

    `last_sequence` is the newest sequence number that they have, `event_sequence` that of their newest event.
    """

    __slots__ = ("durable", "event_sequence", "last_sequence", "opened_at", "rows", "submitters", "transactions")

    def __init__(self, durable: Durable, *, opened_at: float) -> None:
        """`opened_at` is when the first transaction was submitted, in monotonic seconds."""
        self.durable = durable
        self.opened_at = opened_at
        self.submitters: list[Any] = []
        self.rows: TransactionRows = []
        self.transactions = 0
        self.last_sequence = self.event_sequence = 0

    def add(self, rows: TransactionRows, last_sequence: int, event_sequence: int) -> None:
        """Add a transaction. `event_sequence` is 0 if it has no event."""
        self.rows += rows
        self.transactions += 1
        self.last_sequence = last_sequence
        self.event_sequence = event_sequence or self.event_sequence


_Result = TypeVar("_Result")


class IdleWork:
    """A function of the writing connection that waits for a moment without queued transactions, and its result."""

    __slots__ = ("done", "needs_open_events", "run")

    def __init__(
        self, run: Callable[[apsw.Connection], Any], done: asyncio.Future[Any], *, needs_open_events: bool
    ) -> None:
        self.run = run
        self.done = done
        self.needs_open_events = needs_open_events


class BookWriter:
    """Owns the writing connection and the writer thread until `stop` has returned.

    All methods must be called on the event loop's thread. `on_durable` is called on it too, with the number of
    transactions whose futures were just completed.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        loop: asyncio.AbstractEventLoop,
        on_durable: Callable[[int], None],
        last_sequence: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`last_sequence` is the newest sequence number of the book. `clock` returns monotonic seconds."""
        self.latency = LatencyHistogram(LATENCY_BOUNDS_SECONDS)
        """The time from the submission to the durability, for each transaction that of the first one of its group."""
        self.observer: CommitObserver | None = None
        self._clock = clock
        self._connection = connection
        self._files = BookFiles(connection)
        self._loop = loop
        self._on_durable = on_durable
        self._queue: SimpleQueue[TransactionGroup | IdleWork | None] = SimpleQueue()
        self._idle_work: deque[IdleWork] = deque()
        """What waits until no transaction is queued. Only the thread uses it."""
        self._last_sequence = last_sequence
        """The newest sequence number that the file has. Only the thread uses it and `_unnoted`."""
        self._unnoted = UnnotedEvents()
        self._filling: TransactionGroup | None = None
        """The newest group, if the thread has not taken it and it is not full."""
        self._filling_lock = threading.Lock()
        self._failure: BookFailedError | None = None
        self._stopping = False
        self._ended: asyncio.Future[None] = loop.create_future()
        # A daemon thread, so that a program that does not close its book can exit.
        self._thread = threading.Thread(target=self._run, name="stagebook-book-writer", daemon=True)
        self._start()

    def _start(self) -> None:
        self._thread.start()

    def require_working(self) -> None:
        """Raise BookFailedError if an earlier commit failed."""
        if self._failure is not None:
            raise BookFailedError(str(self._failure)) from self._failure

    def put(self, rows: TransactionRows, last_sequence: int, event_sequence: int = 0) -> Durable:
        """Queue the rows of a transaction; return the future of its group.

        `last_sequence` is the newest sequence number that was assigned up to and including this transaction,
        `event_sequence` that of its newest event, 0 if it has none. Raises BookFailedError if an earlier commit failed.
        """
        self.require_working()
        with self._filling_lock:
            group = self._filling
            if group is not None:
                group.add(rows, last_sequence, event_sequence)
                if self.observer is not None:
                    self._note_submitter(group, self.observer)
                if group.transactions == MAXIMUM_GROUP_TRANSACTIONS:
                    self._filling = None
                return group.durable
            group = self._filling = TransactionGroup(Durable(loop=self._loop), opened_at=self._clock())
            group.add(rows, last_sequence, event_sequence)
            if self.observer is not None:
                self._note_submitter(group, self.observer)
        self._queue.put(group)
        return group.durable

    @staticmethod
    def _note_submitter(group: TransactionGroup, observer: CommitObserver) -> None:
        if len(group.submitters) < MAXIMUM_OBSERVED_SUBMITTERS:
            group.submitters.append(observer.submitter())

    def when_idle(
        self, run: Callable[[apsw.Connection], _Result], *, needs_open_events: bool = False
    ) -> asyncio.Future[_Result]:
        """Call `run` on the writer thread once no transaction is queued; return the future of its result.

        `needs_open_events`: it reads table `open_event`, or deletes rows of sessions, so that all events so far are
        noted first. `run` gets the writing connection outside of a transaction and
        must leave it so. If another process locks the book or the disk is full, it has changed nothing: its future
        fails with apsw.BusyError or apsw.FullError, and the book goes on. Any other error fails the book. If the writer
        ends before, the future fails with BookFailedError.
        """
        self.require_working()
        if self._stopping:
            raise BookFailedError(CLOSED)
        work = IdleWork(run, self._loop.create_future(), needs_open_events=needs_open_events)
        self._queue.put(work)
        return work.done

    async def wait_ended(self) -> BookFailedError | None:
        """Wait until the writer has ended. Return the failure that ended it, or None after `stop`."""
        await asyncio.shield(self._ended)
        return self._failure

    async def stop(self) -> None:
        """Commit every queued transaction and end the thread. Can be awaited several times."""
        self._stopping = True
        self._queue.put(None)
        # Shielded: a cancelled `stop` must not cancel the future that others wait for.
        await asyncio.shield(self._ended)
        self._thread.join()

    def _run(self) -> None:
        group: TransactionGroup | None = None
        try:
            while (group := self._take_group()) is not None:
                self._commit(group)
                # After the commit and before it is acknowledged: what is written to a deleted file is lost.
                self._files.require_in_place()
                self._call_on_loop(self._resolve, group)
            # Optional: the next open notes what stays.
            with contextlib.suppress(apsw.Error):
                self._note_open_events()
        except Exception as error:  # noqa: BLE001 - every failure must reach the futures, or their tasks wait forever
            self._call_on_loop(self._fail, group, error)
        finally:
            self._truncate_wal()
            for work in self._idle_work:
                self._call_on_loop(_complete, work.done, None, BookFailedError(CLOSED))
            self._call_on_loop(self._end)

    def _take_group(self) -> TransactionGroup | None:
        """Wait for a group, and end its filling; return None when `stop` was called. Meanwhile, do the idle work."""
        while True:
            if self._idle_work and self._queue.empty():
                self._run_idle(self._idle_work.popleft())
                continue
            taken = self._queue.get()
            if not isinstance(taken, IdleWork):
                break
            self._idle_work.append(taken)
        with self._filling_lock:
            if self._filling is taken:
                self._filling = None
        return taken

    def _run_idle(self, work: IdleWork) -> None:
        # It does not wait for a lock: queued transactions would wait with it.
        self._connection.set_busy_timeout(0)
        result: Any = None
        failure: Exception | None = None
        try:
            # Otherwise an end that is noted after the deletion of its start would get a row of its own.
            if work.needs_open_events:
                self._note_open_events()
            result = work.run(self._connection)
        except (apsw.BusyError, apsw.FullError) as error:
            failure = error
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except Exception as error:
            self._call_on_loop(_complete, work.done, None, _failure_of(error))
            raise
        self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        self._call_on_loop(_complete, work.done, result, failure)

    def _commit(self, group: TransactionGroup) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        rows_by_kind: list[list[str]] = [[] for _ in ROW_KINDS]
        for kind, row in group.rows:
            rows_by_kind[kind].append(row)
        # The order of the tables does not matter: there are no foreign keys, and keys were assigned before.
        for statements, encoded in zip(WRITE_STATEMENTS, rows_by_kind, strict=True):
            if encoded:
                rows = ("[" + ",".join(encoded) + "]",)
                for statement in statements:
                    execute(statement, rows)
        if rows_by_kind[EVENTS]:
            self._unnoted.add(rows_by_kind[EVENTS], group.event_sequence)
        is_noting = self._unnoted.is_full
        if is_noting:
            self._unnoted.note(self._connection)
        # The number of an event is read from its row: to store it once more would write another page.
        if group.last_sequence > max(self._last_sequence, group.event_sequence):
            execute("UPDATE sequencer SET last_sequence = ?", (group.last_sequence,))
        execute("COMMIT")
        self._last_sequence = group.last_sequence
        if is_noting:
            self._unnoted.clear()

    def _note_open_events(self) -> None:
        """Note what is collected, in a transaction of its own."""
        if not self._unnoted.is_empty:
            self._connection.execute("BEGIN IMMEDIATE")
            self._unnoted.note(self._connection)
            self._connection.execute("COMMIT")
            self._unnoted.clear()

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

    def _resolve(self, group: TransactionGroup) -> None:
        if not group.durable.done():
            group.durable.set_result(None)
        seconds = self._clock() - group.opened_at
        self.latency.observe(seconds, group.transactions)
        self._on_durable(group.transactions)
        if self.observer is not None:
            self.observer.committed(group.submitters, transactions=group.transactions, seconds=seconds)

    def _fail(self, group: TransactionGroup | None, error: Exception) -> None:
        """Fail the group that could not be committed and every group queued behind it."""
        self._failure = _failure_of(error)
        self._fail_group(group)
        with contextlib.suppress(Empty):
            while True:
                self._fail_group(self._queue.get_nowait())

    def _fail_group(self, group: TransactionGroup | IdleWork | None) -> None:
        if isinstance(group, IdleWork):
            _complete(group.done, None, self._failure)
        elif group is not None and self._failure is not None and not group.durable.done():
            group.durable.set_exception(self._failure)
            group.durable.exception()  # Mark it as retrieved: not every transaction has a caller that awaits it.

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _failure_of(error: Exception) -> BookFailedError:
    failure = BookFailedError(f"the book could not be written: {error}")
    failure.__cause__ = error
    return failure


def _complete(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    """Complete a future, unless its task has cancelled it."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
        future.exception()  # Mark it as retrieved: its task may have ended.
