"""The directory of a node: which run owns each account, as of the last second.

Entries may be out of date. Nobody relies on them: an owner serves a request only if it holds the lease of the account,
and answers 421 (Misdirected Request, RFC 9110 section 15.5.20) otherwise. So an entry that is out of date costs one
answer and one refresh.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from stagebook.cluster.account_owner import AccountDirectory, AccountOwner

REFRESH_SECONDS: Final = 1.0
REFRESH_TIMEOUT_SECONDS: Final = 5.0
MINIMUM_INTERVAL_SECONDS: Final = 0.05
"""Between two reads of the database, however many requests look for an owner."""
_log = structlog.get_logger(__name__)


class OwnerDirectory:
    """Knows the owners that `source` had at the last refresh.

    `on_refreshed` is called after each refresh: with the ids of all runs that own an account, and of those that have
    lost one to another run. A run loses accounts only when it is over.
    """

    def __init__(
        self,
        source: AccountDirectory,
        *,
        on_refreshed: Callable[[frozenset[int], frozenset[int]], None] = lambda _alive, _replaced: None,
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        self._source = source
        self._on_refreshed = on_refreshed
        self._refresh_seconds = refresh_seconds
        self._owners: Mapping[str, AccountOwner | None] = {}
        self._last_runs: dict[str, int] = {}
        """The newest run that has owned each account."""
        self._owning_runs = frozenset[int]()
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._is_failing = False

    async def start(self) -> None:
        """Read the directory once, then refresh it until `stop`. A source that fails is logged, and asked again."""
        await self.refresh()
        self._loop = asyncio.create_task(self._refresh_always())

    async def stop(self) -> None:
        """Refresh no longer."""
        tasks = [task for task in (self._loop, self._waiting, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def knows(self, account_id: str) -> bool:
        """Return whether an account has ever had an owner."""
        return account_id in self._owners

    def owner_of(self, account_id: str) -> AccountOwner | None:
        """Return the owner of an account at the last refresh; None if it had none."""
        return self._owners.get(account_id)

    def note_changed(self) -> None:
        """Refresh soon: an owner has changed, as a notification of the database says."""
        self._changed.set()

    async def refresh(self) -> None:
        """Return after a refresh that began after this call. Concurrent calls share one, so they cost one read."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._refresh_after(self._running))
        # A caller that is cancelled must not end the refresh of the others.
        await asyncio.shield(self._waiting)

    async def _refresh_after(self, former: "asyncio.Task[None] | None") -> None:
        if former is not None:
            await asyncio.wait([former])
            await asyncio.sleep(MINIMUM_INTERVAL_SECONDS)
        self._running, self._waiting = self._waiting, None
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_SECONDS):
                owners = await self._source.owners()
        except Exception as error:  # noqa: BLE001 - whatever fails, the former entries stay
            if not self._is_failing:
                _log.warning("the owners of accounts cannot be read", reason=str(error) or type(error).__name__)
            self._is_failing = True
            return
        self._is_failing = False
        replaced = frozenset[int]()
        if owners is not self._owners:
            self._owners = owners
            replaced = self._note_runs(
                {account: owner.run_id for account, owner in owners.items() if owner is not None}
            )
        self._on_refreshed(self._owning_runs, replaced)

    def _note_runs(self, runs: dict[str, int]) -> frozenset[int]:
        """Note the runs that own accounts; return those that have lost one to another run."""
        replaced = {self._last_runs.get(account, run_id) for account, run_id in runs.items()}
        self._last_runs |= runs
        self._owning_runs = frozenset(runs.values())
        return frozenset(replaced - self._owning_runs)

    async def _refresh_always(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._refresh_seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self.refresh()
