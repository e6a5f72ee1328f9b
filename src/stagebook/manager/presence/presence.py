"""Tells the watchers of a stage who is on it, after every change.

A snapshot shows only what is durable. Changes that come close together share one snapshot: a storm of joins on a full
stage would otherwise cost every watcher a full list for every single join.
"""

import asyncio

from stagebook.manager.presence.watchers import FarewellReason, StageWatcher
from stagebook.manager.session.running_sessions import LiveSession
from stagebook.manager.session.unit_of_work import UnitOfWork

GATHER_SECONDS = 0.01
"""How long changes are gathered on a small stage."""
ENTRIES_PER_SECOND = 2_000_000
"""How many snapshot entries a second may be sent in all before gathering takes longer."""
GATHER_MAXIMUM_SECONDS = 2.0


class PresencePublisher:
    """The watchers of every stage, and the snapshots they are owed."""

    def __init__(self, *, ledger: UnitOfWork) -> None:
        self._ledger = ledger
        self._watchers: dict[str, dict[str, StageWatcher]] = {}
        self._due: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, stage_arn: str, connection_id: str, watcher: StageWatcher) -> None:
        """Add a watcher, which will be shown the stage with the next change."""
        self._watchers.setdefault(stage_arn, {})[connection_id] = watcher

    def remove(self, stage_arn: str, connection_id: str) -> StageWatcher | None:
        """Remove and return a watcher."""
        watchers = self._watchers.get(stage_arn, {})
        watcher = watchers.pop(connection_id, None)
        if not watchers:
            self._watchers.pop(stage_arn, None)
        return watcher

    def farewell(self, stage_arn: str, connection_id: str, reason: FarewellReason, detail: str) -> None:
        """Remove a watcher and tell it why its connection ends."""
        watcher = self.remove(stage_arn, connection_id)
        if watcher is not None:
            watcher.farewell(reason, detail)

    def changed(self, session: LiveSession) -> None:
        """Note that a stage changed: its watchers get a snapshot soon."""
        watchers = self._watchers.get(session.stage_arn)
        if not watchers or session.stage_arn in self._due:
            return
        entries = len(watchers) * len(session.participants)
        delay_seconds = min(GATHER_SECONDS + entries / ENTRIES_PER_SECOND, GATHER_MAXIMUM_SECONDS)
        self._due[session.stage_arn] = asyncio.get_running_loop().call_later(
            delay_seconds, self._flush, session.stage_arn
        )

    def _flush(self, stage_arn: str) -> None:
        del self._due[stage_arn]
        task = asyncio.get_running_loop().create_task(self._show(stage_arn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show(self, stage_arn: str) -> None:
        session = self._ledger.live.sessions.get(stage_arn)
        if session is None:
            return
        snapshot = session.snapshot()
        await self._ledger.settled()
        for watcher in tuple(self._watchers.get(stage_arn, {}).values()):
            watcher.show(snapshot)

    async def close(self) -> None:
        """Stop telling."""
        for handle in self._due.values():
            handle.cancel()
        self._due.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
