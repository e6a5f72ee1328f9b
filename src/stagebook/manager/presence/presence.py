"""Publishes who is on a stage to the participants that watch it, after each change.

A snapshot shows only what is durable. Changes that come close together share one snapshot, because a storm of joins on
a full stage would otherwise cost each watcher a full list for each join.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from stagebook.book.store import BookFailedError
from stagebook.manager.presence.watchers import PresentParticipant, StageSnapshot, StageWatcher
from stagebook.stage.participant.transitions import Presence
from stagebook.stage.session.orders import CloseEvents
from stagebook.stage.session.session_state import Session

GATHER_SECONDS = 0.01
"""How long changes are gathered on a small stage."""
ENTRIES_PER_SECOND = 2_000_000
"""How many snapshot entries all watchers of a stage may be sent in a second before gathering takes longer."""
GATHER_MAXIMUM_SECONDS = 2.0


class PresencePublisher:
    """The watchers of all stages.

    `sessions` are the running sessions by stage ARN; `settled` waits until all changes so far are durable.
    """

    def __init__(self, *, sessions: Mapping[str, Session], settled: Callable[[], Awaitable[None]]) -> None:
        self._sessions = sessions
        self._settled = settled
        self._watchers: dict[str, dict[str, StageWatcher]] = {}
        self._stage_of: dict[str, str] = {}
        self._scheduled: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, stage_arn: str, connection_id: str, watcher: StageWatcher) -> None:
        """Add a watcher. It gets its first snapshot with the next change, which is its own arrival."""
        self._watchers.setdefault(stage_arn, {})[connection_id] = watcher
        self._stage_of[connection_id] = stage_arn

    def close(self, order: CloseEvents) -> None:
        """Remove a watcher, and say farewell to it if the server closes its connection."""
        watcher = self.remove(order.connection_id)
        if watcher is not None and order.farewell is not None:
            watcher.farewell(order.farewell, order.detail)

    def remove(self, connection_id: str) -> StageWatcher | None:
        """Remove and return a watcher; None for an unknown one."""
        stage_arn = self._stage_of.pop(connection_id, None)
        if stage_arn is None:
            return None
        watchers = self._watchers[stage_arn]
        watcher = watchers.pop(connection_id)
        if not watchers:
            del self._watchers[stage_arn]
        return watcher

    def changed(self, session: Session) -> None:
        """Schedule a snapshot of a session that has changed."""
        stage_arn = session.stage_arn
        watchers = self._watchers.get(stage_arn)
        if not watchers or stage_arn in self._scheduled:
            return
        entries = len(watchers) * len(session.participants)
        delay_seconds = min(GATHER_SECONDS + entries / ENTRIES_PER_SECOND, GATHER_MAXIMUM_SECONDS)
        self._scheduled[stage_arn] = asyncio.get_running_loop().call_later(delay_seconds, self._flush, stage_arn)

    def _flush(self, stage_arn: str) -> None:
        del self._scheduled[stage_arn]
        task = asyncio.get_running_loop().create_task(self._show(stage_arn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show(self, stage_arn: str) -> None:
        session = self._sessions.get(stage_arn)
        if session is None:
            return
        snapshot = snapshot_of(session)
        try:
            await self._settled()
        except BookFailedError:
            return  # The server stops; nobody may be told of what is not durable.
        for watcher in tuple(self._watchers.get(stage_arn, {}).values()):
            watcher.show(snapshot)

    async def stop(self) -> None:
        """Cancel all snapshots that are scheduled."""
        for handle in self._scheduled.values():
            handle.cancel()
        self._scheduled.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def snapshot_of(session: Session) -> StageSnapshot:
    """Return who is on a stage, in order of arrival. A virtual participant stands for its redundant streams."""
    present = sorted(
        (
            participant
            for participant in session.participants.values()
            if participant.machine.presence is Presence.PRESENT and participant.virtual_id is None
        ),
        key=lambda participant: participant.arrival,
    )
    return StageSnapshot(
        stage_id=session.stage_arn.rpartition("/")[2],
        participants=tuple(
            PresentParticipant(
                participant_id=participant.record.participant_id,
                user_id=participant.record.user_id,
                attributes=participant.record.attributes,
                is_publishing=participant.machine.is_publishing,
            )
            for participant in present
        ),
    )
