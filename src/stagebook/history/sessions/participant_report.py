"""The report of one participant of one session: the intervals and errors that its events describe.

Theory: an event that starts something and one that ends it delimit an interval.

    joined       JOINED .. LEFT
    published    PUBLISH_STARTED .. PUBLISH_STOPPED
    watched      SUBSCRIBE_STARTED .. SUBSCRIBE_STOPPED, for each remote participant
    replicated   REPLICATION_STARTED .. REPLICATION_STOPPED, for each destination

* Starts that overlap are one interval, from the first start to the stop that leaves none: two subscriptions to one
  publisher at the same time are watched once.
* LEFT ends the participant's publication and subscriptions too, as `event_replay.py` has it. It does not end a
  replication, which may outlive a short absence.
* A stop without a start, and a JOINED of somebody who has joined, change no interval.
* What an ended session leaves open ends with the session. What an open session has open has no end.

Intervals are kept in sequence numbers, whose order is that of the events also within one millisecond.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from stagebook.book.book_values import RecordedEvent
from stagebook.book.changes import SEQUENCE_TIME_SHIFT, sequence_time_ms
from stagebook.history.sessions.session_recording import RecordingFold, SessionRecording
from stagebook.stage.events import Cause, ErrorCode, Event, EventName, ReplicationDestination


class Interval(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One interval: the sequence numbers of its start and its end, and why it ended. `end` is None while it is open."""

    start: int
    end: int | None
    end_cause: Cause | None = None
    end_detail: str | None = None

    @property
    def start_ms(self) -> int:
        """The time of the start, in milliseconds since the epoch."""
        return sequence_time_ms(self.start)

    @property
    def end_ms(self) -> int | None:
        """The time of the end, in milliseconds since the epoch; None while it is open."""
        return None if self.end is None else sequence_time_ms(self.end)

    def duration_ms(self, now_ms: int) -> int:
        """Return how long it lasted, in milliseconds; up to `now_ms` while it is open."""
        end_ms = now_ms if self.end is None else sequence_time_ms(self.end)
        return max(0, end_ms - sequence_time_ms(self.start))


class ReportedError(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event with an error code."""

    sequence: int
    name: EventName
    code: ErrorCode
    remote_participant_id: str | None = None
    cause: Cause | None = None
    detail: str | None = None

    @property
    def time_ms(self) -> int:
        """The time of the error, in milliseconds since the epoch."""
        return sequence_time_ms(self.sequence)


class ParticipantReport(msgspec.Struct, frozen=True, kw_only=True):
    """The intervals of one participant in the order of their starts, its errors, recordings, and events by name.

    `watched` is by the id of the remote participant.
    """

    joined: tuple[Interval, ...] = ()
    published: tuple[Interval, ...] = ()
    watched: Mapping[str, tuple[Interval, ...]] = {}
    replicated: Mapping[ReplicationDestination, tuple[Interval, ...]] = {}
    errors: tuple[ReportedError, ...] = ()
    recordings: tuple[SessionRecording, ...] = ()
    event_counts: Mapping[EventName, int] = {}

    def joined_ms(self, now_ms: int) -> int:
        """Return how long it was on the stage, in milliseconds."""
        return _sum_ms(self.joined, now_ms)

    def published_ms(self, now_ms: int) -> int:
        """Return how long it published, in milliseconds."""
        return _sum_ms(self.published, now_ms)

    def recorded_ms(self) -> int:
        """Return how much of it was recorded, in milliseconds, by the recordings that have ended."""
        return sum(recording.duration_ms or 0 for recording in self.recordings)

    def watched_ms(self, now_ms: int) -> int:
        """Return how long it watched, in milliseconds. Two publishers at the same time count twice."""
        return sum(_sum_ms(intervals, now_ms) for intervals in self.watched.values())


def _sum_ms(intervals: Iterable[Interval], now_ms: int) -> int:
    return sum(interval.duration_ms(now_ms) for interval in intervals)


_JOINED, _LEFT = EventName.JOINED, EventName.LEFT
_Key: TypeAlias = tuple[EventName, str | ReplicationDestination | None]
"""What an interval is about: the name of its start, and the remote participant or the destination."""

_START_OF = {
    EventName.PUBLISH_STOPPED: EventName.PUBLISH_STARTED,
    EventName.SUBSCRIBE_STOPPED: EventName.SUBSCRIBE_STARTED,
    EventName.REPLICATION_STOPPED: EventName.REPLICATION_STARTED,
}
_STARTS = frozenset(_START_OF.values())


def _key(start: EventName, event: Event) -> _Key:
    if start is EventName.SUBSCRIBE_STARTED:
        return start, event.remote_participant_id
    return start, event.destination


class _OpenInterval:
    """An interval without an end. `count` is the number of its starts that no stop has answered."""

    __slots__ = ("count", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.count = 1


def report_participant(events: Iterable[RecordedEvent], *, session_end_ms: int | None = None) -> ParticipantReport:
    """Return the report of one participant from all its events in one session, oldest first.

    `session_end_ms` is the end of the session, None while it is open.
    """
    fold = _IntervalFold()
    for recorded in events:
        fold.add(recorded)
    return fold.report(session_end_ms)


class _IntervalFold:
    """What the events so far have started and ended."""

    def __init__(self) -> None:
        self._open: dict[_Key, _OpenInterval] = {}
        self._intervals: dict[_Key, list[Interval]] = {}
        self._errors: list[ReportedError] = []
        self._recordings = RecordingFold()
        self._counts: Counter[EventName] = Counter()

    def add(self, recorded: RecordedEvent) -> None:
        """Take the next event."""
        event, sequence = recorded.event, recorded.sequence
        name = event.name
        self._counts[name] += 1
        self._recordings.add(recorded)
        if event.error_code is not None:
            self._errors.append(
                ReportedError(
                    sequence=sequence,
                    name=name,
                    code=event.error_code,
                    remote_participant_id=event.remote_participant_id,
                    cause=event.cause,
                    detail=event.detail,
                )
            )
        if name is _JOINED:
            self._open.setdefault((_JOINED, None), _OpenInterval(sequence))
        elif name is _LEFT:
            for key in [key for key in self._open if key[0] is not EventName.REPLICATION_STARTED]:
                self._close(key, sequence, event.cause, event.detail)
        elif name in _STARTS:
            key = _key(name, event)
            if (opened := self._open.get(key)) is None:
                self._open[key] = _OpenInterval(sequence)
            else:
                opened.count += 1
        elif (start := _START_OF.get(name)) is not None:
            self._stop(_key(start, event), recorded)

    def _stop(self, key: _Key, recorded: RecordedEvent) -> None:
        opened = self._open.get(key)
        if opened is None:
            return
        opened.count -= 1
        if opened.count == 0:
            self._close(key, recorded.sequence, recorded.event.cause, recorded.event.detail)

    def _close(self, key: _Key, end: int | None, cause: Cause | None = None, detail: str | None = None) -> None:
        interval = Interval(start=self._open.pop(key).start, end=end, end_cause=cause, end_detail=detail)
        self._intervals.setdefault(key, []).append(interval)

    def report(self, session_end_ms: int | None) -> ParticipantReport:
        """Return the report. Nothing may be added afterwards."""
        for key, opened in list(self._open.items()):
            end = None if session_end_ms is None else max(opened.start, session_end_ms << SEQUENCE_TIME_SHIFT)
            self._close(key, end)
        watched: dict[str, tuple[Interval, ...]] = {}
        replicated: dict[ReplicationDestination, tuple[Interval, ...]] = {}
        for (start, about), intervals in self._intervals.items():
            if start is EventName.SUBSCRIBE_STARTED:
                watched[str(about or "")] = tuple(intervals)
            elif isinstance(about, ReplicationDestination):
                replicated[about] = tuple(intervals)
        return ParticipantReport(
            joined=tuple(self._intervals.get((_JOINED, None), ())),
            published=tuple(self._intervals.get((EventName.PUBLISH_STARTED, None), ())),
            watched=watched,
            replicated=replicated,
            errors=tuple(self._errors),
            recordings=tuple(self._recordings),
            event_counts=dict(self._counts),
        )
