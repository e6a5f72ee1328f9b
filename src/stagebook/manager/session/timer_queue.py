"""Timers by key: facts that decisions have scheduled for a later time.

A heap orders the timers by time. Replaced and cancelled timers stay in the heap as stale entries until they come up;
when most entries are stale, the heap is rebuilt. So memory is proportional to the timers that are set, and each
operation costs O(log n) on average. Removing an entry from the middle of a heap would cost O(n), and most timers are
cancelled: each connection that ends before its maximum duration cancels one.
"""

import heapq
from collections.abc import Iterator

import msgspec

from stagebook.stage.session.session_facts import SessionFact

_SLACK = 64
"""Stale entries that are tolerated in addition, so that a short heap is not rebuilt with each change."""


class Timer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact for the session of a stage, due at a monotonic time."""

    stage_arn: str
    due_ms: int
    fact: SessionFact


class TimerQueue:
    """The timers that are set."""

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._timers)

    @property
    def size(self) -> int:
        """How many entries the heap has, stale ones included."""
        return len(self._heap)

    @property
    def next_due_ms(self) -> int | None:
        """The monotonic time at which the next timer is due, None if no timer is set."""
        while self._heap:
            due_ms, key = self._heap[0]
            timer = self._timers.get(key)
            if timer is not None and timer.due_ms == due_ms:
                return due_ms
            heapq.heappop(self._heap)
        return None

    def set(self, key: str, timer: Timer) -> None:
        """Set a timer, in place of one with the same key."""
        self._timers[key] = timer
        heapq.heappush(self._heap, (timer.due_ms, key))
        self._compact()

    def cancel(self, key: str) -> None:
        """Remove a timer. An unknown key is ignored."""
        self._timers.pop(key, None)
        self._compact()

    def take(self, key: str) -> Timer | None:
        """Remove a timer and return it, before it is due; None for an unknown key."""
        timer = self._timers.pop(key, None)
        self._compact()
        return timer

    def due(self, now_ms: int) -> Iterator[Timer]:
        """Remove and yield the timers that are due at the monotonic time `now_ms`, in order of time.

        The caller may set and cancel timers while it iterates. A timer that it sets for `now_ms` or earlier is yielded
        too.
        """
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, key = heapq.heappop(self._heap)
            timer = self._timers.get(key)
            # A stale entry has no timer, or one that was set again for another time.
            if timer is not None and timer.due_ms == due_ms:
                del self._timers[key]
                yield timer

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._timers) + _SLACK:
            # Each rebuild follows as many changes as it has entries, so its cost is constant for each change.
            self._heap = [(timer.due_ms, key) for key, timer in self._timers.items()]
            heapq.heapify(self._heap)
