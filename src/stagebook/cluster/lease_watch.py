"""The watch over the leases of all accounts: it takes the accounts of nodes that died.

Several nodes look at the same time, and one of them gets an account. Each looks after a random pause, and takes the
accounts in a random order, so that the accounts of a dead node spread over the others.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from stagebook.book.book_errors import BookFailedError
from stagebook.cluster.owned_accounts import OwnedAccounts
from stagebook.log_rate_limit import LogRateLimit

LOOK_SECONDS: Final = 0.25
"""The mean pause between two looks."""
_NOT_TAKEN: Final = "an account of a node that is gone could not be taken"
_log = structlog.get_logger(__name__)


class LeaseLook(msgspec.Struct, frozen=True, kw_only=True):
    """What one look has found. `abandoned` are accounts whose run is over or late; `database_seconds` is the time."""

    abandoned: Sequence[str]
    database_seconds: float


class LeaseSource(Protocol):
    """Reads the leases."""

    async def look(self, *, run_id: int, held: Collection[str]) -> LeaseLook:
        """Return the accounts that nobody serves, and the time of the database.

        Among them are those of the run `run_id` that are not in `held`: it may not know that it has taken them.
        Raises BookFailedError while the database cannot be reached.
        """


class Contact(Protocol):
    """Notes the contact with the database, and knows when old heartbeats are those of dead runs."""

    def note_answer(self, now: float, *, database_seconds: float) -> None:
        """Note an answer of the database, and what its clock said."""

    def note_failure(self) -> None:
        """Note that the database did not answer."""

    def may_take(self, now: float) -> bool:
        """Return whether heartbeats that are too old are those of dead runs."""


class LeaseWatch:
    """Looks between `start` and `stop`, and takes for `accounts`. `pause` waits for a number of seconds."""

    def __init__(
        self,
        source: LeaseSource,
        contact: Contact,
        *,
        accounts: OwnedAccounts,
        chance: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._contact = contact
        self._accounts = accounts
        self._chance = chance
        self._monotonic = monotonic
        self._pause = pause
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False
        self._log_limit = LogRateLimit(clock=monotonic)
        self.failures = 0
        """Looks that have failed."""
        self.taken = 0
        """Accounts that were taken from other nodes."""

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def may_fence(self) -> bool:
        """Return whether a run that lets its lease pass is dead."""
        return self._contact.may_take(self._monotonic())

    async def _run(self) -> None:
        while True:
            await self._pause(LOOK_SECONDS * self._chance.uniform(0.5, 1.5))
            try:
                look = await self._source.look(run_id=self._accounts.run_id, held=self._accounts.account_ids)
            except BookFailedError as error:
                self.failures += 1
                self._contact.note_failure()
                self._log_failure(error)
                continue
            self._is_failing = False
            self._contact.note_answer(self._monotonic(), database_seconds=look.database_seconds)
            if look.abandoned:
                await self._take(look.abandoned)

    async def _take(self, abandoned: Sequence[str]) -> None:
        """Take accounts of runs that have ended, and of late ones once those are known to be dead."""
        for account_id in self._chance.sample(abandoned, len(abandoned)):
            is_new = account_id not in self._accounts.account_ids
            try:
                is_taken = await self._accounts.acquire(account_id)
            except Exception as error:  # noqa: BLE001 - whatever fails, a later look finds the account again
                if (more := self._log_limit.admit("taking")) is not None:
                    reason = str(error) or type(error).__name__
                    _log.error(_NOT_TAKEN, account_id=account_id, reason=reason, **more)
                continue
            if is_taken and is_new:
                self.taken += 1
                _log.warning("took an account of a node that is gone", account_id=account_id)

    def _log_failure(self, error: BookFailedError) -> None:
        if not self._is_failing:
            self._is_failing = True
            _log.warning("the leases of accounts cannot be read", error=str(error))
