"""The totals of a session, accumulated participant by participant.

Minutes are sums of whole milliseconds and exact; only the displayed sum is rounded. A peak is the largest number at one
moment, and its time is when that number was reached first. For the peaks the accumulator keeps two integers for each
interval of presence and of publication, and nothing else that grows: the cost is n log n in these intervals.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from stagebook.book.changes import sequence_time_ms
from stagebook.history.sessions.participant_report import Interval, ParticipantReport
from stagebook.stage.events import Cause, ErrorCode, EventName

_NEVER = (1 << 63) - 1
"""The end of an open interval: after every sequence number."""


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """The largest number at one moment, and when it was reached first; None if the number is 0."""

    number: int = 0
    time_ms: int | None = None


class SessionTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The totals of a session.

    `participants` joined at least once; `refused_participants` have events, but none of them is JOINED. `left_causes`
    counts the ends of presence by their cause.
    """

    events: int
    participants: int
    refused_participants: int
    peak_participants: Peak
    peak_publishers: Peak
    participant_ms: int
    publisher_ms: int
    subscriber_ms: int
    event_counts: Mapping[EventName, int]
    error_counts: Mapping[ErrorCode, int]
    left_causes: Mapping[Cause, int]


class PeakCounter:
    """Finds the largest number of intervals that contain one moment."""

    def __init__(self) -> None:
        self._starts = array("q")
        self._ends = array("q")

    def add(self, intervals: Iterable[Interval]) -> None:
        """Count these intervals, which must not overlap each other."""
        for interval in intervals:
            self._starts.append(interval.start)
            self._ends.append(_NEVER if interval.end is None else interval.end)

    def peak(self) -> Peak:
        """Return the peak of all intervals. At one sequence number, an end comes before a start."""
        ends = sorted(self._ends)
        best = ended = 0
        best_start: int | None = None
        for started, start in enumerate(sorted(self._starts), start=1):
            while ends[ended] <= start and ended < started - 1:
                ended += 1
            if started - ended > best:
                best, best_start = started - ended, start
        return Peak(number=best, time_ms=None if best_start is None else sequence_time_ms(best_start))


class TotalsAccumulator:
    """The totals of the participants so far. It can be pickled, to be continued in another process."""

    def __init__(self, *, now_ms: int) -> None:
        """Count open intervals up to `now_ms`, milliseconds since the epoch."""
        self._now_ms = now_ms
        self._participants = self._refused = 0
        self._participant_ms = self._publisher_ms = self._subscriber_ms = 0
        self._joined, self._published = PeakCounter(), PeakCounter()
        self._event_counts: Counter[EventName] = Counter()
        self._error_counts: Counter[ErrorCode] = Counter()
        self._left_causes: Counter[Cause] = Counter()

    @property
    def events(self) -> int:
        """How many events were counted."""
        return self._event_counts.total()

    def add(self, report: ParticipantReport) -> None:
        """Count one participant. One without events does not count."""
        if report.joined:
            self._participants += 1
        elif report.event_counts:
            self._refused += 1
        self._participant_ms += report.joined_ms(self._now_ms)
        self._publisher_ms += report.published_ms(self._now_ms)
        self._subscriber_ms += report.watched_ms(self._now_ms)
        self._joined.add(report.joined)
        self._published.add(report.published)
        self._event_counts.update(report.event_counts)
        self._error_counts.update(error.code for error in report.errors)
        self._left_causes.update(each.end_cause for each in report.joined if each.end_cause is not None)

    def totals(self) -> SessionTotals:
        """Return the totals so far."""
        return SessionTotals(
            events=self.events,
            participants=self._participants,
            refused_participants=self._refused,
            peak_participants=self._joined.peak(),
            peak_publishers=self._published.peak(),
            participant_ms=self._participant_ms,
            publisher_ms=self._publisher_ms,
            subscriber_ms=self._subscriber_ms,
            event_counts=dict(self._event_counts),
            error_counts=dict(self._error_counts),
            left_causes=dict(self._left_causes),
        )
