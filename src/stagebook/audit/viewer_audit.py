"""Subscriptions of one session, against the publications that they watch.

A subscription that started before its publisher stopped must not stop later than that. Times are compared, not sequence
numbers: the two events belong to one transaction and have one time, and a source without causes does not say which came
first. A publisher of whom nothing is known, because a source has the events of some participants only, ends nothing.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from stagebook.audit import book_rules
from stagebook.audit.participant_audit import Fault, Mark
from stagebook.stage.events import Event, EventName

_STARTED, _STOPPED = EventName.SUBSCRIBE_STARTED, EventName.SUBSCRIBE_STOPPED
_NEVER_MS = 1 << 62


class ViewerAudit:
    """The audit of one session. It keeps the times at which publications stopped, and the open subscriptions."""

    __slots__ = ("_open", "_stops")

    def __init__(self, stops: dict[str, "array[int]"] | None = None) -> None:
        """Begin with the times in ms at which publications stopped, in their order, by publisher."""
        self._stops: dict[str, array[int]] = {} if stops is None else stops
        self._open: dict[tuple[str, str], list[tuple[int, Mark]]] = {}

    def note_stop(self, publisher_id: str, time_ms: int) -> None:
        """Note a PUBLISH_STOPPED. Those of one publisher must be noted in the order of their times."""
        self._stops.setdefault(publisher_id, array("q")).append(time_ms)

    def add(self, viewer_id: str, event: Event, time_ms: int, mark: Mark) -> Fault | None:
        """Take a SUBSCRIBE_STARTED or SUBSCRIBE_STOPPED; return what is wrong. Earlier stops must have been noted."""
        remote = event.remote_participant_id
        if remote is None:
            return None
        key = (viewer_id, remote)
        if event.name is _STARTED:
            self._open.setdefault(key, []).append((time_ms, mark))
            return None
        started = self._open.get(key)
        if not started:
            return None
        start_ms, _ = started.pop(0)
        if not started:
            del self._open[key]
        return self._fault(remote, start_ms, time_ms, mark)

    def settle(self, viewer_id: str) -> Iterator[Fault]:
        """Yield the open subscriptions of a viewer whose publisher has stopped, and forget them."""
        for key in [key for key in self._open if key[0] == viewer_id]:
            for start_ms, mark in self._open.pop(key):
                fault = self._fault(key[1], start_ms, _NEVER_MS, mark)
                if fault is not None:
                    yield fault

    def settle_all(self) -> Iterator[tuple[str, Fault]]:
        """Yield, with the viewer, all open subscriptions whose publisher has stopped."""
        for (viewer_id, remote), started in self._open.items():
            for start_ms, mark in started:
                fault = self._fault(remote, start_ms, _NEVER_MS, mark)
                if fault is not None:
                    yield viewer_id, fault

    def _fault(self, remote: str, start_ms: int, end_ms: int, mark: Mark) -> Fault | None:
        stops = self._stops.get(remote)
        if stops is None:
            return None
        first = bisect_right(stops, start_ms)
        if first == len(stops) or stops[first] >= end_ms:
            return None
        return book_rules.VIEWERS, f"the subscription to {remote} goes on after the publication has stopped", mark
