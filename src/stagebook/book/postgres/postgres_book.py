"""The book on PostgreSQL: the implementation of the Book port for one of several nodes that share a database.

The book writes for the accounts that it has acquired, and refuses changes of others. It uses three connections: the
writer thread has one (`postgres_committer.py`), the reads of `BookReader` one, and accounts and blocks of keys are
taken on a third one, which threads use in turns.

With `LoadedRowKeys`, `submit` reads nothing from the database. With `reads_row_keys` it reads what it lacks and waits
for the answer, for programs that have nothing else to do, and for tests of the port.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final, Self

import msgspec

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.book_values import RetentionStep
from stagebook.book.changes import AppendEvent, Change, PutParticipant
from stagebook.book.postgres.key_blocks import KeyBlocks
from stagebook.book.postgres.leases.account_acquisition import AccountAcquisition, TakenAccount
from stagebook.book.postgres.leases.node_run import SequenceSlot, read_sequence_slot, register_run
from stagebook.book.postgres.owned_row_keys import OwnedRowKeys, account_of_change, require_owned
from stagebook.book.postgres.postgres_committer import PostgresCommitter
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_retention import PostgresRetention
from stagebook.book.postgres.postgres_schema import migrate
from stagebook.book.postgres.schema.account_functions import SEQUENCE_SLOTS
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.book.store import Submission
from stagebook.book.tables.loaded_row_keys import LoadedRowKeys
from stagebook.book.tables.row_keys import RowKeys
from stagebook.book.tables.rows import resource_value
from stagebook.book.tables.stream_key_seal import ReadSecret, SealBrokenError, StreamKeySeal
from stagebook.book.tables.writer.table_book import TableBook

PATIENCE_SECONDS: Final = 30.0
_FIRST_CONFIGURATION: Final = """
SELECT value FROM resource WHERE resource_type = 'ingest-configuration' ORDER BY resource_key LIMIT 1
"""


class NodeDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What other nodes know of this one: its name, the URL of its internal listener, and its version of Stagebook."""

    name: str
    internal_url: str = ""
    software_version: str = ""


class PostgresBook(TableBook[PostgresConnection]):
    """A book that is open for writing; implements `ServerBook`."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        node: NodeDescription,
        read_secret: ReadSecret,
        loop: asyncio.AbstractEventLoop | None = None,
        show_deleted_history: bool = False,
        reads_row_keys: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Self:
        """Open the book at `url`, as a new run of `node`. Create or migrate the tables. It waits for the database.

        `read_secret` reads the secret that stream keys are sealed with; what it raises is passed on. `loop` is the
        event loop on which transactions are submitted, by default the running one. With `show_deleted_history`, the
        sessions, participants and events of deleted stages can be read. The database may be out of reach for
        `patience_seconds` before the book fails.

        Raises BookRefusedError if the database cannot be used as a book, or if its stream keys are sealed with another
        secret, and BookFailedError if it cannot be reached.
        """
        with ExitStack() as opened:
            control = PostgresConnection(url)
            opened.callback(control.close)
            migrate(control)
            seal = _seal(control, read_secret)
            writing = PostgresConnection(url)
            opened.callback(writing.close)
            reading = PostgresConnection(url, patience_seconds=patience_seconds)
            opened.callback(reading.close)
            renewed_at = time.monotonic()
            run_id = register_run(
                writing, node=node.name, internal_url=node.internal_url, software_version=node.software_version
            )
            book = cls(
                reading,
                PostgresCommitter(writing, run_id=run_id, renewed_at=renewed_at, patience_seconds=patience_seconds),
                AccountAcquisition(control, run_id=run_id, reads_account_keys=not reads_row_keys),
                sequences=read_sequence_slot(control, run_id),
                seal=seal,
                loop=loop or asyncio.get_running_loop(),
                show_deleted_history=show_deleted_history,
                reads_row_keys=reads_row_keys,
            )
            opened.pop_all()
        return book

    def __init__(
        self,
        reading: PostgresConnection,
        committer: PostgresCommitter,
        acquisition: AccountAcquisition,
        *,
        sequences: SequenceSlot,
        seal: StreamKeySeal,
        loop: asyncio.AbstractEventLoop,
        show_deleted_history: bool,
        reads_row_keys: bool,
    ) -> None:
        """Take ownership of the connections. Use `open` instead of calling this directly."""
        self._loop = loop
        self._committer = committer
        self._acquisition = acquisition
        self._owned: set[str] = set()
        self._taken_sequence = 0
        """The newest sequence number that an account had when it was taken."""
        self._refilling = False
        self._blocks = [KeyBlocks(fetch=partial(acquisition.new_block, at), low=self._refill_soon) for at in range(3)]
        super().__init__(
            reading,
            committer,
            keys=self._row_keys(reading, reads_row_keys=reads_row_keys),
            last_sequence=sequences.last_sequence,
            sequence_slot=sequences.slot,
            sequence_slots=SEQUENCE_SLOTS,
            seal=seal,
            loop=loop,
            show_deleted_history=show_deleted_history,
        )

    def _row_keys(self, reading: PostgresConnection, *, reads_row_keys: bool) -> RowKeys:
        stage_keys, session_keys, composition_keys = self._blocks
        if not reads_row_keys:
            return LoadedRowKeys(stage_keys=stage_keys, session_keys=session_keys, composition_keys=composition_keys)
        return OwnedRowKeys(
            reading,
            self._owned,
            stage_keys=stage_keys,
            session_keys=session_keys,
            composition_keys=composition_keys,
        )

    @property
    def loaded_keys(self) -> LoadedRowKeys:
        """The row keys of the accounts that were acquired. Raises TypeError for a book with `reads_row_keys`."""
        if not isinstance(self._keys, LoadedRowKeys):
            raise TypeError("the book reads its row keys")
        return self._keys

    @property
    def run_id(self) -> int:
        """The run of the node that has opened the book."""
        return self._acquisition.run_id

    @property
    def can_shrink(self) -> bool:
        """True: PostgreSQL uses the space of deleted rows again (autovacuum)."""
        return True

    async def make_shrinkable(self) -> bool:
        """Do nothing; return True."""
        return True

    @property
    def seal(self) -> StreamKeySeal:
        """The seal of stream keys, for other readers of the book."""
        return self._translator.seal

    @property
    def owned_before(self) -> float:
        """The monotonic time, in seconds, before which no other node has taken an account of this one."""
        return self._committer.owned_before

    @property
    def failures(self) -> int:
        """How many statements of the writer the database has not answered, or refused."""
        return self._committer.failures

    @property
    def durable_sequence(self) -> int:
        """The newest sequence number of the accounts that are owned, among what is durable."""
        return max(self._taken_sequence, super().durable_sequence)

    def owns(self, account_id: str) -> bool:
        """Return whether the account was acquired. It is owned until the run is fenced, which fails the book."""
        return account_id in self._owned

    async def acquire(self, account_id: str, *, may_fence: bool = True) -> bool:
        """Take an account that is free; return whether this run owns it. With `may_fence`, also one of a late run.

        It then has what recovery needs: new events have numbers above those of the former owner, and new rows have keys
        above its keys. Raises BookFailedError.
        """
        if account_id in self._owned:
            return True
        taken = await asyncio.to_thread(self._acquisition.take, account_id, may_fence=may_fence)
        return self._add(taken)

    def acquire_at_once(self, account_id: str) -> bool:
        """Take an account as `acquire` does, and wait for the database meanwhile. For a start."""
        return account_id in self._owned or self._add(self._acquisition.take(account_id))

    def _add(self, taken: TakenAccount | None) -> bool:
        if taken is None:
            return False
        self._translator.last_sequence = max(self._translator.last_sequence, taken.last_sequence)
        self._taken_sequence = max(self._taken_sequence, taken.last_sequence)
        for blocks, number in zip(self._blocks, taken.blocks, strict=True):
            blocks.throw_away()
            blocks.add(number)
        if taken.keys is not None and isinstance(self._keys, LoadedRowKeys):
            self._keys.add_account(taken.keys)
        self._owned.add(taken.account_id)
        return True

    def submit(self, changes: Sequence[Change]) -> Submission:
        """Queue a transaction; see `Book.submit`. Raises BookFailedError or ChangeRefusedError."""
        for change in changes:
            # The two most frequent changes refer to stages, which are known of owned accounts only.
            if type(change) is not AppendEvent and type(change) is not PutParticipant:
                require_owned(account_of_change(change), self._owned)
        return super().submit(changes)

    def _refill_soon(self) -> None:
        """Fetch blocks in a thread, unless that is being done."""
        if not self._refilling and not self._closing:
            self._refilling = True
            self._refill = self._loop.create_task(self._fetch_blocks())

    async def _fetch_blocks(self) -> None:
        """Fetch blocks. Without an answer of the database, the next key that is taken asks again."""
        try:
            with suppress(BookFailedError):
                numbers = await asyncio.to_thread(self._acquisition.new_blocks)
                for blocks, number in zip(self._blocks, numbers, strict=True):
                    blocks.add(number)
        finally:
            self._refilling = False

    def delete_old(self, policy: RetentionPolicy, *, now_ms: int) -> AsyncGenerator[RetentionStep]:
        """Delete what is older than `policy` allows at `now_ms`, in steps; see `Book.delete_old`."""
        run = PostgresRetention(
            self._acquisition,
            self._writer,
            owned=self._owned,
            keys=self._keys,
            policy=policy,
            now_ms=now_ms,
        )
        return run.steps()

    async def end_run(self) -> None:
        """Commit every submitted transaction, and end the run, so that others may take its accounts. Idempotent.

        The book refuses further transactions. Reads go on until `close`.
        """
        await self._stop_writing()
        await asyncio.to_thread(self._acquisition.end_run)

    async def close(self) -> None:
        """Commit every submitted transaction, end the run, so that others may take its accounts, and disconnect.

        Idempotent. If the database does not answer, it ends after a bounded time; transactions that were not committed
        have failed then.
        """
        await self._stop_writing()
        self.close_reading()
        await asyncio.to_thread(self._acquisition.close)


def _seal(connection: PostgresConnection, read_secret: ReadSecret) -> StreamKeySeal:
    """Return the seal of the book. Raises BookRefusedError if it does not open the stream keys that there are."""
    rows = connection.execute(_FIRST_CONFIGURATION)
    seal = StreamKeySeal(read_secret(may_generate=not rows))
    for row in rows:
        try:
            seal.opened(resource_value(row))
        except SealBrokenError as error:
            raise BookRefusedError(
                f"the stream keys in the {connection.place} are sealed with another secret than that of this node: all "
                "nodes of a book have the same."
            ) from error
    return seal
