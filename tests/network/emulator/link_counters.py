"""What has happened on one direction of an emulated link: in total, and in each tenth of a second."""

import msgspec

INTERVALS_PER_SECOND = 10
MAX_INTERVALS = 6000
"""Ten minutes. What comes later counts in the total only."""


class LinkCounters(msgspec.Struct, kw_only=True):
    """Counts of packets, and of bytes with the headers of IPv4 and UDP."""

    offered_packets: int = 0
    offered_bytes: int = 0
    """What was sent into the link."""
    lost_packets: int = 0
    """Lost at random, in a burst, or because the link is blocked."""
    overflow_packets: int = 0
    """Dropped because the queue of the bottleneck was full."""
    delivered_packets: int = 0
    delivered_bytes: int = 0
    max_queue_seconds: float = 0.0
    """The longest wait in the queue."""


class LinkReport(msgspec.Struct, kw_only=True):
    """The counters of a link since it exists. `intervals` has one entry for each tenth of a second."""

    total: LinkCounters
    intervals: list[LinkCounters]
    seconds: float
    """The time of the report, from the beginning of the link."""

    def offered_bps(self, start: float, end: float) -> float:
        """The bit rate that was sent into the link between two times in seconds."""
        return 8 * sum(each.offered_bytes for each in self._between(start, end)) / (end - start)

    def delivered_bps(self, start: float, end: float) -> float:
        """The bit rate that came out of the link between two times in seconds."""
        return 8 * sum(each.delivered_bytes for each in self._between(start, end)) / (end - start)

    def max_queue_seconds(self, start: float, end: float) -> float:
        """The longest wait in the queue between two times in seconds."""
        return max((each.max_queue_seconds for each in self._between(start, end)), default=0.0)

    def _between(self, start: float, end: float) -> list[LinkCounters]:
        return self.intervals[round(start * INTERVALS_PER_SECOND) : round(end * INTERVALS_PER_SECOND)]


class LinkMeter:
    """Counts for a link that began at `start`."""

    def __init__(self, start: float) -> None:
        self.total = LinkCounters()
        self.intervals: list[LinkCounters] = []
        self._start = start

    def offered(self, size: int, now: float) -> None:
        """Count a packet that was sent into the link."""
        for counters in self._at(now):
            counters.offered_packets += 1
            counters.offered_bytes += size

    def lost(self, now: float) -> None:
        """Count a packet that was lost."""
        for counters in self._at(now):
            counters.lost_packets += 1

    def overflowed(self, now: float) -> None:
        """Count a packet that found the queue full."""
        for counters in self._at(now):
            counters.overflow_packets += 1

    def delivered(self, size: int, now: float) -> None:
        """Count a packet that came out of the link."""
        for counters in self._at(now):
            counters.delivered_packets += 1
            counters.delivered_bytes += size

    def waited(self, seconds: float, now: float) -> None:
        """Note how long a packet waited in the queue."""
        for counters in self._at(now):
            counters.max_queue_seconds = max(counters.max_queue_seconds, seconds)

    def report(self, now: float) -> LinkReport:
        """Everything that was counted."""
        return LinkReport(total=self.total, intervals=self.intervals, seconds=now - self._start)

    def _at(self, now: float) -> tuple[LinkCounters, ...]:
        index = int((now - self._start) * INTERVALS_PER_SECOND)
        if index >= MAX_INTERVALS:
            return (self.total,)
        while len(self.intervals) <= index:
            self.intervals.append(LinkCounters())
        return (self.total, self.intervals[index])
