"""The search for the owner of an account: this node, another one, or nobody within PATIENCE_SECONDS.

An account without an owner is taken by the node that is asked for it. That is done for accounts that exist: those of
the directory, and those of which this server has an access key or a bearer key. An account that only an unverified
token names is not taken, so strangers cannot make the cluster own accounts.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from stagebook.cluster.account_owner import AccountOwner, LocalAccounts
from stagebook.cluster.directory import OwnerDirectory
from stagebook.log_rate_limit import LogRateLimit

PATIENCE_SECONDS: Final = 5.0
"""A lease ends 3 seconds after its owner, and the account is recovered within a second."""
PAUSE_SECONDS: Final = 0.1
MAXIMUM_WAITING: Final = 20_000
"""Requests that wait for an owner at the same time: see `owner_connections.MAXIMUM_IN_PROGRESS`."""
_log = structlog.get_logger(__name__)


class NoOwnerError(Exception):
    """No node owns the account, and this one cannot take it."""


class OwnerSearch:
    """Finds owners. `is_known` returns whether an account is one of this server's access keys or bearer keys."""

    def __init__(
        self,
        local: LocalAccounts,
        directory: OwnerDirectory,
        *,
        is_known: Callable[[str], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._local = local
        self._directory = directory
        self._is_known = is_known
        self._monotonic = monotonic
        self._log_limit = LogRateLimit(clock=monotonic)
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for an owner."""
        return self._waiting

    def exists(self, account_id: str) -> bool:
        """Return whether an account exists. Requests for others are served, and refused, by any node."""
        return self._directory.knows(account_id) or self._is_known(account_id)

    def deadline(self) -> float:
        """Return when a search that begins now ends, in seconds of the clock."""
        return self._monotonic() + PATIENCE_SECONDS

    def known_owner(self, account_id: str) -> AccountOwner | None:
        """Return the owner in the directory, unless it is this run itself, which then has lost the account."""
        owner = self._directory.owner_of(account_id)
        return None if owner is None or owner.run_id == self._local.run_id else owner

    async def find(self, account_id: str, *, deadline: float) -> AccountOwner | None:
        """Return the owner of an account, None for this node. Takes the account if it has none.

        Raises NoOwnerError at the deadline, and at once while too many requests wait.
        """
        if self._local.owns(account_id):
            return None
        owner = self.known_owner(account_id)
        return owner if owner is not None else await self.wait(account_id, deadline=deadline)

    async def wait(self, account_id: str, *, deadline: float, refused_by: int | None = None) -> AccountOwner | None:
        """Return the owner as `find`, after a refresh of the directory.

        `refused_by` is the run that was asked and is not the owner, or cannot be reached. It is returned again, after a
        pause, if the directory still says that it is the owner.
        """
        if self._waiting >= MAXIMUM_WAITING:
            raise NoOwnerError
        self._waiting += 1
        try:
            while self._monotonic() < deadline:
                await self._directory.refresh()
                if self._local.owns(account_id):
                    return None
                owner = self.known_owner(account_id)
                if owner is None and await self._acquire(account_id):
                    return None
                if owner is not None and owner.run_id != refused_by:
                    return owner
                await asyncio.sleep(PAUSE_SECONDS)
                if owner is not None:
                    return owner
        finally:
            self._waiting -= 1
        raise NoOwnerError

    async def _acquire(self, account_id: str) -> bool:
        try:
            return await self._local.acquire(account_id)
        except Exception:  # noqa: BLE001 - whatever fails, another node may own the account soon
            # All requests that wait get here, every PAUSE_SECONDS.
            if (more := self._log_limit.admit("taking")) is not None:
                _log.exception("an account could not be taken", account_id=account_id, **more)
            return False
