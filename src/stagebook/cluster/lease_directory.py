"""The leases of a book in PostgreSQL as the `AccountDirectory` and the `LeaseSource` of a node.

It has two connections and two threads: one reads, one waits for the notifications of changed leases. Only nodes with
such a book import this module: it needs the extra `postgres`.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from stagebook.book.book_errors import BookFailedError
from stagebook.book.postgres.leases.account_leases import LeaseChanges
from stagebook.book.postgres.leases.lease_reads import read_leases, renumber_leases
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.known_leases import KnownLeases
from stagebook.cluster.lease_watch import LeaseLook

WAIT_SECONDS: Final = 1.0
"""How long a thread waits for a notification. `close` may take this time."""
RETRY_SECONDS: Final = 1.0
_log = structlog.get_logger(__name__)


class LeaseDirectory:
    """Implements `AccountDirectory` and `LeaseSource`. `close` must be called at the end."""

    def __init__(self, database_url: str) -> None:
        """Connect to the database. Raises BookRefusedError and BookFailedError."""
        self._reading = PostgresConnection(database_url)
        try:
            renumber_leases(self._reading)
            self._waiting = PostgresConnection(database_url)
        except BaseException:
            self._reading.close()
            raise
        self._changes = LeaseChanges(self._waiting)
        self._known = KnownLeases()
        # One thread each: a connection belongs to one thread at a time.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="leases")
        self._listener = ThreadPoolExecutor(1, thread_name_prefix="lease-changes")
        self._following: asyncio.Task[None] | None = None

    async def owners(self) -> Mapping[str, AccountOwner | None]:
        """As AccountDirectory. Raises BookFailedError."""
        await self._refresh()
        return self._known.owners

    async def look(self, *, run_id: int, held: Collection[str]) -> LeaseLook:
        """As LeaseSource. Raises BookFailedError."""
        database_seconds = await self._refresh()
        return LeaseLook(abandoned=self._known.abandoned(run_id=run_id, held=held), database_seconds=database_seconds)

    def follow(self, on_changed: Callable[[], None]) -> None:
        """Call `on_changed` from now on when an account gets another owner, or may have got one."""
        self._following = asyncio.create_task(self._follow(on_changed))

    async def close(self) -> None:
        """Stop, and disconnect."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        for executor, connection in ((self._reader, self._reading), (self._listener, self._waiting)):
            await asyncio.get_running_loop().run_in_executor(executor, connection.close)
            executor.shutdown()

    async def _refresh(self) -> float:
        """Read what has changed; return the clock of the database, in seconds since the epoch.

        Reads that overlap begin at the same position. They are applied in their order, since one thread makes them.
        """
        since = self._known.position
        read = await asyncio.get_running_loop().run_in_executor(self._reader, read_leases, self._reading, since)
        self._known.apply(read)
        return read.database_seconds

    async def _follow(self, on_changed: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        is_failing = False
        while True:
            try:
                is_changed = await loop.run_in_executor(self._listener, self._changes.wait, WAIT_SECONDS)
            except BookFailedError as error:
                # The directory is read every second, too.
                if not is_failing:
                    _log.info("changes of leases are not notified", reason=str(error))
                is_failing = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            is_failing = False
            if is_changed:
                on_changed()
