"""The writer thread: it commits queued transactions in groups (group commit).

A commit waits for a sync to disk, which takes about as long for a thousand transactions as for one. So transactions
that arrive during a commit form a group. When the commit is done, the thread takes the group, lets the committer of the
store write it in one transaction, and completes its future on the event loop.

    transaction -> group that is being filled -> queue -> GroupCommitter.commit
          -> complete the group's future on the event loop

A group is queued with its first transaction, and is filled until the thread takes it. Its transactions share one
future, because they become durable together: one future for each would cost more than the transaction's SQL.

A group that cannot be acknowledged in time (`TransactionGroup.acknowledged_before`) is queued again: its rows are
durable, and the committer finds out whether that may still be said. A later commit that is in time proves the same. So
groups are acknowledged in the order of their first commits.

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
from queue import Empty, Queue, SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

from stagebook.book.book_errors import BookBusyError, BookFailedError
from stagebook.book.server_book import CommitObserver
from stagebook.book.store import Durable
from stagebook.book.tables.change_rows import TransactionRows
from stagebook.book.tables.writer.group_committer import Connection, GroupCommitter, IdleWork, TransactionGroup
from stagebook.latency_histogram import LatencyHistogram

CLOSED = "the book is closed"

MAXIMUM_GROUP_TRANSACTIONS = 1_000
"""Maximum size of a group: large enough to amortise the sync to disk, small enough to keep the latency low."""
LATENCY_BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
MAXIMUM_OBSERVED_SUBMITTERS = 32
"""Transactions of a group whose submitters an observer is told."""

_Result = TypeVar("_Result")
_Queued: TypeAlias = TransactionGroup | IdleWork | None


class GroupWriter(Generic[Connection]):
    """Owns the committer and the writer thread until `stop` has returned.

    All methods must be called on the event loop's thread. `on_durable` is called on it too, with the number of
    transactions whose futures were just completed.
    """

    def __init__(
        self,
        committer: GroupCommitter[Connection],
        *,
        loop: asyncio.AbstractEventLoop,
        on_durable: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` returns monotonic seconds."""
        self.latency = LatencyHistogram(LATENCY_BOUNDS_SECONDS)
        """The time from the submission to the durability, for each transaction that of the first one of its group."""
        self.observer: CommitObserver | None = None
        self.durable_sequence = 0
        """The newest sequence number of the groups that were acknowledged."""
        self._clock = clock
        self._committer = committer
        self._loop = loop
        self._on_durable = on_durable
        # A SimpleQueue takes a tenth of the time of a Queue, but not with a timeout: if a signal interrupts its `get`
        # after the timeout, as when a process that was stopped goes on, CPython waits without an end.
        self._queue: Queue[_Queued] | SimpleQueue[_Queued] = (
            SimpleQueue() if committer.idle_seconds is None else Queue()
        )
        self._idle_work: deque[IdleWork] = deque()
        """What waits until no transaction is queued. Only the thread uses it."""
        self._filling: TransactionGroup | None = None
        """The newest group, if the thread has not taken it and it is not full."""
        self._filling_lock = threading.Lock()
        self._late: deque[TransactionGroup] = deque()
        """The groups that were not acknowledged in time, in the order of their first commits."""
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
            raise type(self._failure)(str(self._failure)) from self._failure

    def put(self, rows: TransactionRows, last_sequence: int, event_sequence: int = 0) -> Durable:
        """Queue the rows of a transaction; return the future of its group.

        `last_sequence` is the newest sequence number that was assigned up to and including this transaction,
        `event_sequence` that of its newest event, 0 if it has none. Raises BookFailedError if an earlier commit failed.
        """
        self.require_working()
        with self._filling_lock:
            group = self._filling
            is_new = group is None
            if group is None:
                group = self._filling = TransactionGroup(Durable(loop=self._loop), opened_at=self._clock())
            group.add(rows, last_sequence, event_sequence)
            if self.observer is not None:
                self._note_submitter(group, self.observer)
            if group.transactions == MAXIMUM_GROUP_TRANSACTIONS:
                self._filling = None
        if is_new:
            self._queue.put(group)
        return group.durable

    @staticmethod
    def _note_submitter(group: TransactionGroup, observer: CommitObserver) -> None:
        if len(group.submitters) < MAXIMUM_OBSERVED_SUBMITTERS:
            group.submitters.append(observer.submitter())

    def when_idle(
        self, run: Callable[[Connection], _Result], *, needs_open_events: bool = False
    ) -> asyncio.Future[_Result]:
        """Call `run` on the writer thread once no transaction is queued; return the future of its result.

        `needs_open_events`: it reads table `open_event`, or deletes rows of sessions, so that all events so far are
        noted first. `run` gets the writing connection outside of a transaction and must leave it so. If the store is
        busy, it has changed nothing: its future fails with BookBusyError, and the book goes on. Any other error fails
        the book. If the writer ends before, the future fails with BookFailedError.
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
        # `_ended` is not cancelled: others wait for it, too.
        await asyncio.wait((self._ended,), timeout=self._committer.stop_seconds)
        if not self._ended.done():
            self._committer.interrupt()
            await asyncio.shield(self._ended)
        self._thread.join()

    def _run(self) -> None:
        group: TransactionGroup | None = None
        is_failed = False
        try:
            while (group := self._take_group()) is not None:
                self._committer.commit(group)
                self._call_on_loop(self._resolve, group)
        except Exception as error:  # noqa: BLE001 - every failure must reach the futures, or their tasks wait forever
            is_failed = True
            self._call_on_loop(self._fail, group, error)
        finally:
            self._committer.finish(is_failed=is_failed)
            for work in self._idle_work:
                self._call_on_loop(_complete, work.done, None, BookFailedError(CLOSED))
            self._call_on_loop(self._end)

    def _take_group(self) -> TransactionGroup | None:
        """Wait for a group, and end its filling; return None when `stop` was called. Meanwhile, do the idle work."""
        while True:
            if self._idle_work and self._queue.empty():
                self._run_idle(self._idle_work.popleft())
                continue
            try:
                taken = self._queue.get(timeout=self._committer.idle_seconds)
            except Empty:
                self._committer.wait()
                continue
            if not isinstance(taken, IdleWork):
                break
            self._idle_work.append(taken)
        with self._filling_lock:
            if self._filling is taken:
                self._filling = None
        return taken

    def _run_idle(self, work: IdleWork) -> None:
        try:
            result = self._committer.run_idle(work.run, needs_open_events=work.needs_open_events)
        except BookBusyError as error:
            self._call_on_loop(_complete, work.done, None, error)
        except Exception as error:
            self._call_on_loop(_complete, work.done, None, _failure_of(error))
            raise
        else:
            self._call_on_loop(_complete, work.done, result, None)

    def _call_on_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        # RuntimeError: the loop is closed, so no task waits for the futures.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _resolve(self, group: TransactionGroup) -> None:
        """Acknowledge a group that was committed, after those that are late; if it is late itself, commit it again."""
        now = self._clock()
        if now >= group.acknowledged_before:
            if group not in self._late:
                self._late.append(group)
            self._confirm(group)
            return
        while self._late:
            self._acknowledge(self._late.popleft(), now)
        self._acknowledge(group, now)

    def _acknowledge(self, group: TransactionGroup, now: float) -> None:
        if group.durable.done():
            return
        group.durable.set_result(None)
        self.durable_sequence = group.last_sequence
        seconds = now - group.opened_at
        self.latency.observe(seconds, group.transactions)
        self._on_durable(group.transactions)
        if self.observer is not None:
            self.observer.committed(group.submitters, transactions=group.transactions, seconds=seconds)

    def _confirm(self, group: TransactionGroup) -> None:
        """Commit a group again, whose rows are durable, but which may not be acknowledged any more."""
        if self._stopping or self._failure is not None:
            # The thread may have ended.
            self._failure = self._failure or BookFailedError("the last transactions were not acknowledged in time")
            self._fail_group(group)
        else:
            self._queue.put(group)

    def _fail(self, group: TransactionGroup | None, error: Exception) -> None:
        """Fail the group that could not be committed and every group queued behind it."""
        self._failure = self._failure or _failure_of(error)
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
    if isinstance(error, BookFailedError):
        return error
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
