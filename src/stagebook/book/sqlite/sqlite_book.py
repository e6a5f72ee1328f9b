"""The book on SQLite: the implementation of the Book port.

A book uses two connections to one file in WAL mode. The writer thread owns the writing connection; reads run on the
caller's thread on a read-only connection, which neither blocks the writer nor waits for it (sqlite.org/wal.html).
`submit` checks a transaction, translates it to rows and queues it; the writer commits all queued transactions together.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Self

import apsw

from stagebook.book.changes import Change, sequence_time_ms
from stagebook.book.event_counts import EventCounts
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.book.sqlite.book_connection import (
    can_shrink,
    has_sealed_keys,
    make_shrinkable,
    open_for_writing,
)
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.open_readers import open_connection
from stagebook.book.sqlite.retention.retention_run import RetentionRun
from stagebook.book.sqlite.writer import CLOSED, BookWriter, CommitObserver
from stagebook.book.store import BookBusyError, BookFailedError, RetentionStep, Submission
from stagebook.book.tables.change_rows import ChangeTranslator
from stagebook.book.tables.stored_row_keys import StoredRowKeys
from stagebook.book.tables.stream_key_seal import ReadSecret, StreamKeySeal
from stagebook.book.tables.table_reader import TableReader
from stagebook.latency_histogram import LatencyHistogram


class SqliteBook(TableReader):
    """A book that is open for writing; implements `Book`.

    `submit` refuses a transaction that contradicts the book, and only that one. If SQLite fails to commit a group of
    transactions, the whole book fails: the transactions of a group are written together, so the one at fault is not
    known.
    """

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
        super().__init__(reading, show_deleted_history=show_deleted_history, seal=seal)
        self._lock = lock
        self._reading = reading
        self._writing = writing
        self._keys = StoredRowKeys(reading)
        self._translator = ChangeTranslator(self._keys, seal=seal, last_sequence=self.last_sequence())
        self._backlog = 0
        self._listeners: list[Callable[[], None]] = []
        self._closing = False
        self._can_shrink = can_shrink(writing)
        self._writer = BookWriter(
            writing, loop=loop, on_durable=self._note_durable, last_sequence=self._translator.last_sequence
        )

    @property
    def backlog(self) -> int:
        """See `Book.backlog`."""
        return self._backlog

    @property
    def submitted_time_ms(self) -> int:
        """See `Book.submitted_time_ms`."""
        return sequence_time_ms(self._translator.last_sequence)

    @property
    def event_counts(self) -> EventCounts:
        """The events that were submitted since the book was opened."""
        return self._translator.event_counts

    @property
    def append_latency(self) -> LatencyHistogram:
        """The time from the submission of transactions to their durability, see `BookWriter.latency`."""
        return self._writer.latency

    @property
    def stage_count(self) -> int:
        """The number of stages of all accounts, without deleted ones; those that are not durable yet count."""
        return self._keys.stage_count

    def observe_commits(self, observer: CommitObserver) -> None:
        """Tell an observer of each transaction and each commit from now on."""
        self._writer.observer = observer

    def submit(self, changes: Sequence[Change]) -> Submission:
        """Queue a transaction; see `Book.submit`. Raises BookFailedError or ChangeRefusedError."""
        if self._closing:
            raise BookFailedError(CLOSED)
        # Before the translation, which notes what the transaction opens and ends: the same one may be submitted again.
        self._writer.require_working()
        sequences, rows = self._translator.translate(changes)
        durable = self._writer.put(rows, self._translator.last_sequence, sequences[-1] if sequences else 0)
        self._backlog += 1
        return Submission(sequences=sequences, durable=durable)

    def on_durable(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop each time a group of transactions has become durable. It must be quick."""
        self._listeners.append(listener)

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

    async def note_open_events(self) -> None:
        """Let `list_open_participants` know every event so far; see `Book.note_open_events`."""
        try:
            await self._writer.when_idle(lambda _connection: None, needs_open_events=True)
        except (apsw.BusyError, apsw.FullError) as error:
            raise BookBusyError(str(error)) from error

    def delete_old(self, policy: RetentionPolicy, *, now_ms: int) -> AsyncGenerator[RetentionStep]:
        """Delete what is older than `policy` allows at `now_ms`, in steps; see `Book.delete_old`."""
        run = RetentionRun(read=self._rows, writer=self._writer, keys=self._keys, policy=policy, now_ms=now_ms)
        return run.steps()

    async def wait_ended(self) -> BookFailedError | None:
        """Wait until the book accepts no more transactions. Return the failure that ended it, or None after `close`."""
        return await self._writer.wait_ended()

    async def close(self) -> None:
        """Commit every submitted transaction, close both connections and release the lock. Idempotent."""
        self._closing = True
        await self._writer.stop()
        # The writing connection closes last: SQLite then removes the WAL, and the book is a single file.
        self.close_reading()
        self._writing.close()
        self._lock.release()

    def _note_durable(self, count: int) -> None:
        self._backlog -= count
        self._keys.note_durable(self._keys.submitted - self._backlog)
        if self._backlog == 0:
            self._keys.drop_idle_stages()
        for listener in self._listeners:
            listener()
