"""Publishes the participants of each stage to the participants that watch it.

A watcher gets lists or changes. Lists are for the public clients of IVS stages, which know nothing else: on a stage of
n participants that all watch, a change costs n lists of n entries. A watcher that takes changes gets one list, and
then only what changes. The messages of a stage have three kinds, each with a pace of its own (`presence_pace.py`,
`watched_stage.py`):

* **Lists for everybody** that takes lists. While changes go on, the gathering time doubles up to
  GATHER_MAXIMUM_SECONDS, so that the watchers of a burst of n joins at a constant rate are sent O(log n) lists, which
  is O(n log n) entries. A large stage in which something always changes gets as many lists as the rate allows.
* **Changes**, which are small: they do not wait for lists. A participant that changes several times within one
  gathering time is one entry. If a change is larger than the list, the list is sent.
* **Lists for newcomers.** A participant that has just arrived does not wait for the turn of everybody: the newest list
  goes to it alone. So it does to a watcher that has not read the changes in time.

A stage has two lists: of all participants, and of those that publish. Each has its own watchers, messages and paces,
and the watchers of publishers are sent nothing when a viewer comes or goes.

Watchers are shown only what is durable: the list is brought up to date, and messages of it are shown when all changes
in it are in the book. The messages of a stage keep their order, because the next ones are made after that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

from stagebook.book.book_errors import BookFailedError
from stagebook.manager.presence.presence_pace import GATHER_SECONDS
from stagebook.manager.presence.watched_stage import Shown, WatchedStage
from stagebook.manager.presence.watchers import StageSnapshot, StageWatcher
from stagebook.stage.session.orders import CloseEvents
from stagebook.stage.session.session_state import Session

WATCHERS_PER_TURN = 8
"""Watchers that are shown a message in one turn of the event loop. Each one wakes a task that writes to its socket in
the next turn. Both together take 0.1 ms of CPU time for one watcher."""

ListKey: TypeAlias = tuple[str, bool]
"""A list of a stage: the stage's ARN, and whether it has publishers only."""


class PresencePublisher:
    """The watchers of all stages.

    `sessions` are the running sessions by stage ARN; `durable` waits until all changes so far are in the book.
    """

    def __init__(self, *, sessions: Mapping[str, Session], durable: Callable[[], Awaitable[None]]) -> None:
        self._sessions = sessions
        self._durable = durable
        self._stages: dict[ListKey, WatchedStage] = {}
        self._list_of: dict[str, ListKey] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, stage_arn: str, connection_id: str, watcher: StageWatcher) -> None:
        """Add a watcher. It gets its first list with the next change, which is its own arrival."""
        key = (stage_arn, watcher.publishers_only)
        stage = self._stages.get(key)
        if stage is None:
            stage = self._stages[key] = WatchedStage(publishers_only=watcher.publishers_only)
        (stage.takes_changes if watcher.takes_changes else stage.takes_lists)[connection_id] = watcher
        stage.newcomers[connection_id] = watcher
        self._list_of[connection_id] = key

    def show_again(self, connection_id: str) -> None:
        """Show a watcher the list again, because it has not taken all changes. An unknown id is ignored."""
        key = self._list_of.get(connection_id)
        if key is not None:
            stage = self._stages[key]
            watcher = stage.takes_changes.get(connection_id)
            if watcher is not None:
                stage.newcomers[connection_id] = watcher
                self._schedule(key, stage)

    def close(self, order: CloseEvents) -> None:
        """Remove a watcher, and close its websocket if the server ends the connection."""
        watcher = self.remove(order.connection_id)
        if watcher is not None and order.farewell is not None:
            watcher.farewell(order.farewell, order.detail)

    def remove(self, connection_id: str) -> StageWatcher | None:
        """Remove and return a watcher; None for an unknown one."""
        key = self._list_of.pop(connection_id, None)
        if key is None:
            return None
        stage = self._stages[key]
        watcher = stage.takes_lists.pop(connection_id, None) or stage.takes_changes.pop(connection_id)
        stage.newcomers.pop(connection_id, None)
        if not stage.takes_lists and not stage.takes_changes:
            self._cancel(stage)
            del self._stages[key]
        return watcher

    def changed(self, session: Session, participant_ids: Iterable[str]) -> None:
        """Note the participants of a session that have changed. Costs the same whatever the session's size."""
        if not self._stages:
            return
        for publishers_only in (False, True):
            key = (session.stage_arn, publishers_only)
            stage = self._stages.get(key)
            if stage is not None:
                stage.changed_ids.update(participant_ids)
                self._schedule(key, stage)

    def _schedule(self, key: ListKey, stage: WatchedStage) -> None:
        """Set the timer of a list, unless it is set for an earlier time."""
        loop = asyncio.get_running_loop()
        due_seconds = None if stage.is_showing else stage.due_seconds(loop.time())
        if due_seconds is None or (stage.timer is not None and stage.timer.when() <= due_seconds):
            return
        self._cancel(stage)
        stage.timer = loop.call_at(due_seconds, self._flush, key)

    def _cancel(self, stage: WatchedStage) -> None:
        if stage.timer is not None:
            stage.timer.cancel()
            stage.timer = None

    def _flush(self, key: ListKey) -> None:
        stage, session = self._stages[key], self._sessions.get(key[0])
        stage.timer = None
        if session is None:
            return
        # The loop's timers have a resolution; one that is early by less than that is on time.
        shown = stage.take_due(session, asyncio.get_running_loop().time() + GATHER_SECONDS / 2)
        if shown:
            stage.is_showing = True
            task = asyncio.get_running_loop().create_task(self._show(key, stage, shown))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._schedule(key, stage)

    async def _show(self, key: ListKey, stage: WatchedStage, shown: list[Shown]) -> None:
        """Show messages, once they are durable, to the watchers that are still there."""
        try:
            await self._durable()
        except BookFailedError:
            return  # The server stops; nobody may be shown what is not durable.
        for message, watchers in shown:
            for number, (connection_id, watcher) in enumerate(watchers.items()):
                if number % WATCHERS_PER_TURN == WATCHERS_PER_TURN - 1:
                    await asyncio.sleep(0)
                if self._list_of.get(connection_id) != key:
                    continue
                if isinstance(message, StageSnapshot):
                    watcher.show(message)
                else:
                    watcher.show_change(message)
        stage.is_showing = False
        if self._stages.get(key) is stage:
            self._schedule(key, stage)

    async def stop(self) -> None:
        """Cancel all messages that are scheduled."""
        for stage in self._stages.values():
            self._cancel(stage)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
