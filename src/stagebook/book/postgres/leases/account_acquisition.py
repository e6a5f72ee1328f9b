"""What a run of a node takes from the database: accounts, and blocks of keys.

All methods wait for the database. Threads may call them; one is served at a time.

The connection is used rarely. Its session may have ended long before, for instance with a restart of the database. So
each statement is executed a second time on a new session: what is taken twice does no harm.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from stagebook.book.book_errors import BookFailedError
from stagebook.book.postgres.leases.account_leases import take_account
from stagebook.book.postgres.leases.node_run import LEASE_SECONDS, end_run
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.book.postgres.postgres_session import BookUnreachableError
from stagebook.book.tables.account_keys import AccountKeys, read_account_keys
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Parameters

NO_LEASE_PASSES_SECONDS: Final = 1e9
"""A lease that no run lets pass: accounts of runs that are fenced or have ended are free all the same."""
_SEQUENCES: Final = ("stage_key_block", "session_key_block", "composition_key_block")
_Result = TypeVar("_Result")
_NEW_BLOCKS: Final = f"SELECT {', '.join(f'''nextval('{each}')''' for each in _SEQUENCES)}"


class TakenAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account that was taken. `last_sequence` is the newest sequence number that its former owner can have used,
    `blocks` are numbers of new blocks: of stage keys, session keys and composition keys."""

    account_id: str
    last_sequence: int
    blocks: tuple[int, int, int]
    keys: AccountKeys | None


class AccountAcquisition:
    """Takes accounts for one run of a node."""

    def __init__(self, connection: PostgresConnection, *, run_id: int, reads_account_keys: bool) -> None:
        """The connection may be of another session than that of the run."""
        self._connection = connection
        self.run_id = run_id
        self._reads_account_keys = reads_account_keys
        self._lock = threading.Lock()
        self._has_ended = False

    def take(self, account_id: str, *, may_fence: bool = True) -> TakenAccount | None:
        """Take an account. Return None if another node owns it. Raises BookFailedError.

        With `may_fence`, it is also taken from a run that has let its lease pass.
        """
        lease_seconds = LEASE_SECONDS if may_fence else NO_LEASE_PASSES_SECONDS
        with self._lock:
            taking = self._execute(
                lambda: take_account(self._connection, account_id, run_id=self.run_id, lease_seconds=lease_seconds)
            )
            if not taking.is_taken:
                return None
            keys = None
            if self._reads_account_keys:
                keys = read_account_keys(self._connection, account_id, now_ms=time.time_ns() // 1_000_000)
            return TakenAccount(
                account_id=account_id, last_sequence=taking.last_sequence, blocks=self._blocks_locked(), keys=keys
            )

    def rows(self, statement: str, parameters: Parameters) -> list[Row]:
        """Return the rows of a statement that reads, in SQLite's form."""
        with self._lock:
            return self._connection.rows(statement, parameters)

    def new_blocks(self) -> tuple[int, int, int]:
        """Return the numbers of new blocks of stage keys, session keys and composition keys."""
        with self._lock:
            return self._blocks_locked()

    def new_block(self, at: int) -> int:
        """Return the number of a new block of one kind of keys."""
        with self._lock:
            ((number,),) = self._execute(
                lambda: self._connection.execute("SELECT nextval(%s::regclass)", (_SEQUENCES[at],))
            )
            return int(number)

    def end_run(self) -> None:
        """Mark the run as ended, so that others may take its accounts at once. Idempotent.

        If the database does not answer, the accounts are free one lease later.
        """
        with self._lock, suppress(BookFailedError):
            if not self._has_ended:
                self._execute(lambda: end_run(self._connection, self.run_id))
                self._has_ended = True

    def close(self) -> None:
        """End the run, and disconnect. Idempotent."""
        self.end_run()
        self._connection.close()

    def _blocks_locked(self) -> tuple[int, int, int]:
        ((stage_block, session_block, composition_block),) = self._execute(
            lambda: self._connection.execute(_NEW_BLOCKS)
        )
        return stage_block, session_block, composition_block

    @staticmethod
    def _execute(statement: Callable[[], _Result]) -> _Result:
        try:
            return statement()
        except BookUnreachableError:
            return statement()
