"""The accounts that this node's run owns, from the taking of the lease to the moment in which requests are served.

    take the lease -> load what is known of the account -> end what its former owner left open -> serve

A node takes an account for which it is asked and that has no owner, and the accounts of nodes that died. It keeps an
account until its process ends. It does not count on an account for longer than the book says: a run that has not
reached the database for almost a lease may have lost its accounts without knowing it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)


class AccountBook(Protocol):
    """What the book of a node says of its accounts, and how it takes them."""

    @property
    def run_id(self) -> int:
        """The id of this run, different for every life of every node."""

    @property
    def owned_before(self) -> float:
        """The monotonic time, in seconds, before which no other node has taken an account of this one."""

    async def acquire(self, account_id: str, *, may_fence: bool) -> bool:
        """Take an account that is free and load it; return whether this run owns it. Raises BookFailedError.

        With `may_fence`, also one whose run lets its lease pass.
        """


class OwnedAccounts:
    """Implements `LocalAccounts`. `recover` ends what the former owner of an account left open.

    `may_fence` returns whether a lease that has passed is that of a dead run (`lease_watch`).
    """

    def __init__(
        self,
        book: AccountBook,
        *,
        recover: Callable[[str], Awaitable[object]],
        may_fence: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._recover = recover
        self._may_fence = may_fence
        self._monotonic = monotonic
        self._served: set[str] = set()
        self._acquiring: dict[str, asyncio.Task[bool]] = {}
        self._is_stopping = False

    @property
    def owned_before(self) -> float:
        """The monotonic time, in seconds, before which no other node has taken an account of this one."""
        return self._book.owned_before

    @property
    def run_id(self) -> int:
        """The id of this run."""
        return self._book.run_id

    @property
    def account_ids(self) -> frozenset[str]:
        """The accounts that are served."""
        return frozenset(self._served)

    def owns(self, account_id: str) -> bool:
        """Return whether this run owns an account, has recovered it, and its lease has not passed."""
        return account_id in self._served and self._monotonic() < self._book.owned_before

    async def acquire(self, account_id: str) -> bool:
        """Take an account that has no owner, load and recover it; return whether this run owns it.

        Concurrent calls for one account share one attempt, which goes on when a caller is cancelled. Raises
        BookFailedError.
        """
        if self.owns(account_id):
            return True
        if self._is_stopping:
            return False
        task = self._acquiring.get(account_id)
        if task is None:
            task = self._acquiring[account_id] = asyncio.create_task(self._acquire(account_id))
            task.add_done_callback(lambda _: self._acquiring.pop(account_id, None))
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Take no more accounts, and wait for those that are being taken."""
        self._is_stopping = True
        await asyncio.gather(*self._acquiring.values(), return_exceptions=True)

    async def _acquire(self, account_id: str) -> bool:
        if account_id in self._served:
            # The lease may have passed: the next renewal tells.
            return False
        if not await self._book.acquire(account_id, may_fence=self._may_fence()):
            return False
        await self._recover(account_id)
        self._served.add(account_id)
        _log.info("account acquired", account_id=account_id, run_id=self.run_id)
        return self.owns(account_id)
