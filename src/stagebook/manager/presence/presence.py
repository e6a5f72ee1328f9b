"""Publishes the participants of each stage to the participants that watch it.

A watcher gets the full list after each change, because the public clients of IVS stages know no increments. On a stage
of n participants that all watch, a change therefore costs n lists of n entries, and a burst of joins would cost that
for each join. Three rules bound it:

* **Gathering.** Changes within GATHER_SECONDS share one snapshot. While changes go on, each snapshot doubles the time,
  up to GATHER_MAXIMUM_SECONDS, so that the watchers of a burst of n joins at a constant rate are sent O(log n) lists,
  which is O(n log n) entries. A quiet time resets it.
* **Pacing by size.** A snapshot of S bytes that went to w watchers delays the next one of the stage by
  w * S / BYTES_PER_SECOND. So an isolated change is shown at once, however large the stage, and a large stage in which
  something always changes gets as many snapshots as the rate allows.
* **First snapshots are paced by themselves.** A participant that has just arrived does not wait for the turn of
  everybody: the newest list goes to it alone. What newcomers are sent has the same rate, on its own account.

Snapshots show only what is durable: the list is taken, and shown when all changes in it are in the book.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from stagebook.book.store import BookFailedError
from stagebook.manager.presence.watchers import PresentParticipant, StageSnapshot, StageWatcher
from stagebook.stage.participant.transitions import Presence
from stagebook.stage.session.orders import CloseEvents
from stagebook.stage.session.session_state import Session

GATHER_SECONDS = 0.01
"""Time in which changes are gathered before a snapshot is taken. It also lets a transaction become durable."""
GATHER_MAXIMUM_SECONDS = 1.0
BYTES_PER_SECOND = 25_000_000
"""Mean rate of the snapshots of one stage, 200 Mbit/s. First snapshots can add the same."""
ENCODING_WATCHERS = 10
"""Taking and encoding a snapshot costs as much CPU as sending it to about this many watchers."""

_encode = msgspec.json.Encoder().encode


class _StageWatchers:
    """The watchers of one stage, and when they may be sent the next snapshot (seconds of the event loop's clock)."""

    __slots__ = (
        "by_id",
        "everybody_due_seconds",
        "gather_seconds",
        "has_changed",
        "newcomers",
        "newcomers_due_seconds",
        "timer",
    )

    def __init__(self) -> None:
        self.by_id: dict[str, StageWatcher] = {}
        self.newcomers: dict[str, StageWatcher] = {}
        """The watchers that have not been sent a snapshot."""
        self.has_changed = False
        """Whether the stage has changed since the last snapshot for everybody."""
        self.everybody_due_seconds = 0.0
        self.gather_seconds = GATHER_SECONDS
        self.newcomers_due_seconds = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def due_seconds(self, now_seconds: float) -> float | None:
        """Return when the next snapshot is to be taken; None if no watcher needs one."""
        due = [self.everybody_due_seconds] if self.has_changed else []
        due += [self.newcomers_due_seconds] if self.newcomers else []
        return max(min(due), now_seconds + GATHER_SECONDS) if due else None

    def take_due(self, now_seconds: float, size_bytes: int) -> dict[str, StageWatcher]:
        """Return the watchers that are due for a snapshot of this size, and charge its cost to their account."""
        if self.has_changed and now_seconds >= self.everybody_due_seconds:
            watchers = self.by_id
            self.has_changed = False
            # Quiet: no change for longer than the gathering time after the next snapshot was allowed.
            is_quiet = now_seconds - self.everybody_due_seconds > self.gather_seconds + GATHER_SECONDS
            doubled_seconds = min(2 * self.gather_seconds, GATHER_MAXIMUM_SECONDS)
            self.gather_seconds = GATHER_SECONDS if is_quiet else doubled_seconds
            pace_seconds = _cost_seconds(len(watchers), size_bytes)
            self.everybody_due_seconds = now_seconds + max(self.gather_seconds, pace_seconds)
        elif now_seconds >= self.newcomers_due_seconds:
            watchers = self.newcomers
            self.newcomers_due_seconds = now_seconds + _cost_seconds(len(watchers), size_bytes)
        else:
            return {}
        self.newcomers = {}
        return watchers.copy()


def _cost_seconds(watchers: int, size_bytes: int) -> float:
    return (watchers + ENCODING_WATCHERS) * size_bytes / BYTES_PER_SECOND


class PresencePublisher:
    """The watchers of all stages.

    `sessions` are the running sessions by stage ARN; `settled` waits until all changes so far are durable.
    """

    def __init__(self, *, sessions: Mapping[str, Session], settled: Callable[[], Awaitable[None]]) -> None:
        self._sessions = sessions
        self._settled = settled
        self._stages: dict[str, _StageWatchers] = {}
        self._stage_of: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, stage_arn: str, connection_id: str, watcher: StageWatcher) -> None:
        """Add a watcher. It gets its first snapshot with the next change, which is its own arrival."""
        stage = self._stages.get(stage_arn)
        if stage is None:
            stage = self._stages[stage_arn] = _StageWatchers()
        stage.by_id[connection_id] = stage.newcomers[connection_id] = watcher
        self._stage_of[connection_id] = stage_arn

    def close(self, order: CloseEvents) -> None:
        """Remove a watcher, and close its websocket if the server ends the connection."""
        watcher = self.remove(order.connection_id)
        if watcher is not None and order.farewell is not None:
            watcher.farewell(order.farewell, order.detail)

    def remove(self, connection_id: str) -> StageWatcher | None:
        """Remove and return a watcher; None for an unknown one."""
        stage_arn = self._stage_of.pop(connection_id, None)
        if stage_arn is None:
            return None
        stage = self._stages[stage_arn]
        watcher = stage.by_id.pop(connection_id)
        stage.newcomers.pop(connection_id, None)
        if not stage.by_id:
            self._cancel(stage)
            del self._stages[stage_arn]
        return watcher

    def changed(self, session: Session) -> None:
        """Schedule a snapshot of a session that has changed. Costs the same whatever the session's size."""
        stage = self._stages.get(session.stage_arn)
        if stage is not None:
            stage.has_changed = True
            self._schedule(session.stage_arn, stage)

    def _schedule(self, stage_arn: str, stage: _StageWatchers) -> None:
        """Set the timer of a stage, unless it is set for an earlier time."""
        loop = asyncio.get_running_loop()
        due_seconds = stage.due_seconds(loop.time())
        if due_seconds is None or (stage.timer is not None and stage.timer.when() <= due_seconds):
            return
        self._cancel(stage)
        stage.timer = loop.call_at(due_seconds, self._flush, stage_arn)

    def _cancel(self, stage: _StageWatchers) -> None:
        if stage.timer is not None:
            stage.timer.cancel()
            stage.timer = None

    def _flush(self, stage_arn: str) -> None:
        stage, session = self._stages[stage_arn], self._sessions.get(stage_arn)
        stage.timer = None
        if session is None:
            return
        snapshot = snapshot_of(session)
        # The loop's timers have a resolution; one that is early by less than that is on time.
        watchers = stage.take_due(asyncio.get_running_loop().time() + GATHER_SECONDS / 2, snapshot.size_bytes)
        if watchers:
            task = asyncio.get_running_loop().create_task(self._show(stage_arn, snapshot, watchers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._schedule(stage_arn, stage)

    async def _show(self, stage_arn: str, snapshot: StageSnapshot, watchers: Mapping[str, StageWatcher]) -> None:
        """Show a snapshot, once it is durable, to the watchers that are still there."""
        try:
            await self._settled()
        except BookFailedError:
            return  # The server stops; nobody may be shown what is not durable.
        for connection_id, watcher in watchers.items():
            if self._stage_of.get(connection_id) == stage_arn:
                watcher.show(snapshot)

    async def stop(self) -> None:
        """Cancel all snapshots that are scheduled."""
        for stage in self._stages.values():
            self._cancel(stage)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def snapshot_of(session: Session) -> StageSnapshot:
    """Return the participants on a stage, in order of arrival. A virtual participant stands for its redundant streams.

    Costs O(n log n) for n participants.
    """
    present = sorted(
        (
            participant
            for participant in session.participants.values()
            if participant.machine.presence is Presence.PRESENT and participant.virtual_id is None
        ),
        key=lambda participant: participant.arrival,
    )
    participants = tuple(
        PresentParticipant(
            participant_id=participant.record.participant_id,
            user_id=participant.record.user_id,
            attributes=participant.record.attributes,
            is_publishing=participant.machine.is_publishing,
        )
        for participant in present
    )
    return StageSnapshot(
        stage_id=session.stage_arn.rpartition("/")[2],
        participants=participants,
        size_bytes=sum(len(_encode(participant)) for participant in participants),
    )
