"""A book whose events and resources are in tables: what every store of that kind does in the same way.

`submit` checks a transaction, translates it to rows and queues it; the writer thread commits all queued transactions
together.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic

from stagebook.book.book_errors import BookFailedError
from stagebook.book.changes import Change, sequence_time_ms
from stagebook.book.event_counts import EventCounts
from stagebook.book.server_book import CommitObserver
from stagebook.book.store import Submission
from stagebook.book.tables.change_rows import ChangeTranslator
from stagebook.book.tables.row_keys import RowKeys
from stagebook.book.tables.stream_key_seal import StreamKeySeal
from stagebook.book.tables.table_connection import TableConnection
from stagebook.book.tables.table_reader import TableReader
from stagebook.book.tables.writer.group_committer import Connection, GroupCommitter
from stagebook.book.tables.writer.group_writer import CLOSED, GroupWriter
from stagebook.latency_histogram import LatencyHistogram


class TableBook(TableReader, Generic[Connection]):
    """A book that is open for writing; implements `ServerBook`, but for `delete_old` and `close`.

    `submit` refuses a transaction that contradicts the book, and only that one. If the store fails to commit a group of
    transactions, the whole book fails: the transactions of a group are written together, so the one at fault is not
    known.
    """

    def __init__(
        self,
        reading: TableConnection,
        committer: GroupCommitter[Connection],
        *,
        keys: RowKeys,
        last_sequence: int,
        sequence_slot: int = 0,
        sequence_slots: int = 1,
        seal: StreamKeySeal,
        loop: asyncio.AbstractEventLoop,
        show_deleted_history: bool,
    ) -> None:
        """Start the writer thread. `last_sequence` is the newest sequence number of the book.

        The book assigns those with the remainder `sequence_slot`, divided by `sequence_slots`.
        """
        super().__init__(reading, show_deleted_history=show_deleted_history, seal=seal)
        self._keys = keys
        self._translator = ChangeTranslator(
            keys, seal=seal, last_sequence=last_sequence, sequence_slot=sequence_slot, sequence_slots=sequence_slots
        )
        self._backlog = 0
        self._listeners: list[Callable[[], None]] = []
        self._closing = False
        self._writer = GroupWriter(committer, loop=loop, on_durable=self._note_durable)

    @property
    def backlog(self) -> int:
        """See `Book.backlog`."""
        return self._backlog

    @property
    def submitted_time_ms(self) -> int:
        """See `Book.submitted_time_ms`."""
        return sequence_time_ms(self._translator.last_sequence)

    @property
    def durable_sequence(self) -> int:
        """The newest sequence number of the transactions that this writer has made durable, 0 before the first."""
        return self._writer.durable_sequence

    @property
    def event_counts(self) -> EventCounts:
        """The events that were submitted since the book was opened."""
        return self._translator.event_counts

    @property
    def append_latency(self) -> LatencyHistogram:
        """The time from the submission of transactions to their durability, see `GroupWriter.latency`."""
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

    async def note_open_events(self) -> None:
        """Let `list_open_participants` know every event so far; see `Book.note_open_events`."""
        await self._writer.when_idle(lambda _connection: None, needs_open_events=True)

    async def wait_ended(self) -> BookFailedError | None:
        """Wait until the book accepts no more transactions. Return the failure that ended it, or None after `close`."""
        return await self._writer.wait_ended()

    async def _stop_writing(self) -> None:
        """Commit every submitted transaction, and refuse further ones. Idempotent."""
        self._closing = True
        await self._writer.stop()

    def _note_durable(self, count: int) -> None:
        self._backlog -= count
        self._keys.note_durable(self._keys.submitted - self._backlog)
        if self._backlog == 0:
            self._keys.drop_idle_stages()
        for listener in self._listeners:
            listener()
