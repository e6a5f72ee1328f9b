"""The watchers of one list of a stage: what each of them has to be shown, and when.

See `presence.py` for the three kinds of messages. Each has a pace of its own.
"""

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

from stagebook.manager.presence.presence_pace import GATHER_SECONDS, PresencePace
from stagebook.manager.presence.stage_list import StageList
from stagebook.manager.presence.watchers import StageChange, StageSnapshot, StageWatcher
from stagebook.stage.session.session_state import Session

GATHER_MAXIMUM_SECONDS = 1.0
CHANGES_GATHER_MAXIMUM_SECONDS = 0.1
NEWCOMERS_BURST_SECONDS = 0.5
"""Participants that arrive together, or open their websockets again together, must not delay the first list of another
one: 12.5 MB of lists may be sent at once."""
ENCODING_WATCHERS = 10
"""Taking and encoding a list costs as much CPU as sending it to about this many watchers."""
SENDING_BYTES = 2_000
"""Sending a change to one watcher takes 30 us of CPU time, whatever its size. It is charged as this many bytes, so that
the changes of one stage take at most a third of a core."""

Watchers: TypeAlias = dict[str, StageWatcher]
Shown: TypeAlias = tuple[StageSnapshot | StageChange, Watchers]


class WatchedStage:
    """The watchers of one list of a stage by connection id, and what they have to be shown.

    The list has all participants or, with `publishers_only`, those that publish.
    """

    __slots__ = (
        "_changes_pace",
        "_list",
        "_listed_number",
        "_lists_pace",
        "_newcomers_pace",
        "_publishers_only",
        "changed_ids",
        "is_showing",
        "newcomers",
        "takes_changes",
        "takes_lists",
        "timer",
    )

    def __init__(self, *, publishers_only: bool = False) -> None:
        self._publishers_only = publishers_only
        self.takes_lists: Watchers = {}
        self.takes_changes: Watchers = {}
        self.newcomers: Watchers = {}
        """The watchers that need a list before anything else."""
        self.changed_ids: set[str] = set()
        """The participants that have changed since the list was brought up to date."""
        self.is_showing = False
        self.timer: asyncio.TimerHandle | None = None
        self._list: StageList | None = None
        self._listed_number = 0
        self._lists_pace = PresencePace(gather_maximum_seconds=GATHER_MAXIMUM_SECONDS)
        self._changes_pace = PresencePace(gather_maximum_seconds=CHANGES_GATHER_MAXIMUM_SECONDS)
        self._newcomers_pace = PresencePace(
            gather_maximum_seconds=GATHER_SECONDS, burst_seconds=NEWCOMERS_BURST_SECONDS
        )

    def due_seconds(self, now_seconds: float) -> float | None:
        """Return when the next messages are to be made; None if no watcher needs one."""
        has_news, known = bool(self.changed_ids), self._list
        due = []
        if self.newcomers:
            due.append(self._newcomers_pace.due_seconds)
        if self.takes_lists and (has_news or (known is not None and known.sequence_number > self._listed_number)):
            due.append(self._lists_pace.due_seconds)
        if self.takes_changes and (has_news or (known is not None and known.has_changes)):
            due.append(self._changes_pace.due_seconds)
        return max(min(due), now_seconds + GATHER_SECONDS) if due else None

    def take_due(self, session: Session, now_seconds: float) -> list[Shown]:
        """Bring the list up to date. Return the messages that are due, and charge their costs."""
        if self._list is None:
            self._list = StageList(session, publishers_only=self._publishers_only)
        else:
            self._list.update(session, self.changed_ids)
        self.changed_ids = set()
        changes = list(self._take_changes(self._list, now_seconds))
        lists = list(self._take_lists(self._list, now_seconds))
        newcomers = list(self._take_newcomers(self._list, now_seconds))
        # A few watchers are shown a message in each turn of the event loop. Those that have no list yet come first.
        return [(message, watchers) for message, watchers in (*newcomers, *changes, *lists) if watchers]

    def _take_changes(self, known: StageList, now_seconds: float) -> Iterable[Shown]:
        if not known.has_changes or now_seconds < self._changes_pace.due_seconds:
            return
        watchers = {each: self.takes_changes[each] for each in self.takes_changes if each not in self.newcomers}
        if not watchers:
            known.forget_changes()
            return
        message: StageSnapshot | StageChange = known.take_change()
        if message.size_bytes > known.size_bytes:
            message = known.snapshot()
        self._changes_pace.charge(now_seconds, len(watchers) * (message.size_bytes + SENDING_BYTES))
        yield message, watchers

    def _take_lists(self, known: StageList, now_seconds: float) -> Iterable[Shown]:
        if known.sequence_number == self._listed_number or now_seconds < self._lists_pace.due_seconds:
            return
        self._listed_number = known.sequence_number
        if self.takes_lists:
            newcomers = {each: self.newcomers.pop(each) for each in tuple(self.newcomers) if each in self.takes_lists}
            cost_bytes = (len(self.takes_lists) + ENCODING_WATCHERS) * known.size_bytes
            self._lists_pace.charge(now_seconds, cost_bytes)
            yield known.snapshot(), newcomers | self.takes_lists

    def _take_newcomers(self, known: StageList, now_seconds: float) -> Iterable[Shown]:
        if not self.newcomers or now_seconds < self._newcomers_pace.due_seconds:
            return
        newcomers, self.newcomers = self.newcomers, {}
        self._newcomers_pace.charge(now_seconds, (len(newcomers) + ENCODING_WATCHERS) * known.size_bytes)
        yield known.snapshot(), newcomers
