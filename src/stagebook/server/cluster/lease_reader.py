"""Reads the leases of accounts from the database, beside the event loop: the owners, what is abandoned, and changes."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stagebook.book.postgres.account_leases import LeaseChanges, list_abandoned, list_leases
from stagebook.book.postgres.postgres_connection import PostgresConnection
from stagebook.cluster.account_owner import AccountOwner
from stagebook.cluster.lease_watch import LeaseLook

_Result = TypeVar("_Result")


class LeaseReader:
    """Implements `AccountDirectory` and `LeaseSource`.

    Two threads, each with a connection of its own: one waits for changes, the other one reads.
    """

    def __init__(self, url: str) -> None:
        """Connect. Raises BookRefusedError and BookFailedError."""
        self._reading = PostgresConnection(url)
        self._waiting = PostgresConnection(url)
        self._changes = LeaseChanges(self._waiting)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stagebook-leases")
        self._waiter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stagebook-lease-changes")

    async def owners(self) -> Mapping[str, AccountOwner | None]:
        """Return every account that has ever had an owner, with its owner; None if that run is not alive."""
        return await self._run(self._reader, self._read_owners)

    async def look(self, *, run_id: int, held: Collection[str]) -> LeaseLook:
        """Return the accounts that nobody serves, and the time of the database; see `LeaseSource`."""
        return await self._run(self._reader, lambda: self._read_abandoned(run_id, held))

    async def wait_changed(self, timeout_seconds: float) -> bool:
        """Wait until an account gets another owner; return whether one has, or may have."""
        return await self._run(self._waiter, lambda: self._changes.wait(timeout_seconds))

    async def close(self) -> None:
        """Close the connections. What runs meanwhile ends first."""
        await self._run(self._reader, self._reading.close)
        await self._run(self._waiter, self._waiting.close)
        self._reader.shutdown(wait=False)
        self._waiter.shutdown(wait=False)

    def _read_owners(self) -> Mapping[str, AccountOwner | None]:
        return {
            lease.account_id: AccountOwner(node=lease.node, run_id=lease.run_id, internal_url=lease.internal_url)
            if lease.is_alive
            else None
            for lease in list_leases(self._reading)
        }

    def _read_abandoned(self, run_id: int, held: Collection[str]) -> LeaseLook:
        found = list_abandoned(self._reading, run_id=run_id, held=held)
        return LeaseLook(abandoned=found.account_ids, database_seconds=found.database_seconds)

    @staticmethod
    async def _run(thread: ThreadPoolExecutor, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
