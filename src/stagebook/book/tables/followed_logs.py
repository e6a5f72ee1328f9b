"""The event logs for a reader on the event loop that follows them.

`ImmediateLog` reads on the thread of the event loop: with SQLite, a read takes less time than switching to another
thread. `ThreadedLog` is for a store that is a round trip away.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from stagebook.book.composition_log import EntryLog, LogEntry
from stagebook.book.tables.table_event_log import TableEventLog


class ImmediateLog:
    """Implements `FollowedLog`. It reads on the event loop's thread."""

    def __init__(self, log: EntryLog) -> None:
        """Read `log`, which no other thread may use."""
        self._log = log

    def last_sequence(self) -> int:
        """Return the sequence number of the newest durable event or session end, 0 in a new book."""
        return self._log.last_sequence()

    async def read_entries_after(self, sequence: int, *, limit: int) -> Sequence[LogEntry]:
        """Return the next events after `sequence`, at most `limit`, oldest first."""
        return self._log.read_entries_after(sequence, limit=limit)


class ThreadedLog:
    """Implements `FollowedLog`. It reads the events of the accounts that this node writes, on a thread of its own.

    `account_ids` returns those accounts. `durable_sequence` returns the newest sequence number that they have.
    """

    def __init__(
        self,
        open_log: Callable[[], TableEventLog],
        *,
        account_ids: Callable[[], Iterable[str]],
        durable_sequence: Callable[[], int],
    ) -> None:
        """`open_log` is called on the thread, for the first read."""
        self._open_log = open_log
        self._account_ids = account_ids
        self._durable_sequence = durable_sequence
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stagebook-log")
        self._log: TableEventLog | None = None

    def last_sequence(self) -> int:
        """Return the sequence number of the newest durable event or session end of these accounts."""
        return self._durable_sequence()

    async def read_entries_after(self, sequence: int, *, limit: int) -> Sequence[LogEntry]:
        """Return the next events after `sequence`, at most `limit`, oldest first. Raises what `EventLog` raises."""
        accounts = tuple(self._account_ids())
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, accounts, sequence, limit)

    async def close(self) -> None:
        """Wait for the read that runs, and close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _read(self, accounts: tuple[str, ...], sequence: int, limit: int) -> Sequence[LogEntry]:
        if self._log is None:
            self._log = self._open_log()
        return self._log.read_entries_of_accounts(accounts, sequence, limit=limit)

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()
