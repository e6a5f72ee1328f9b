"""The packets that a receiver of an RTP stream misses: when each is requested, and which count as lost (RFC 4585).

Each is requested by NACK once a reordered packet would have arrived, and then at growing intervals of at least a
round-trip time (`path_timing`), until it arrives, in the stream or by RTX, or has been requested ten times. If too many
packets are missing at once, the path had an outage: retransmission would only delay the media, so all are given up and
the caller requests a keyframe.

A packet counts as lost when it is requested for the second time. So neither a reordered packet nor one that is repaired
in time is reported as lost, and the reports tell what the viewers miss. A late arrival, also by RTX, takes the loss
back, as RFC 3550 appendix A.3 counts late packets as received.

A publisher decides how many packets are missing, so no step scans all of them: the due ones are at the top of a heap,
and the oldest ones at the front of a dictionary that is in ascending order.
"""

from heapq import heappop, heappush

from stagebook.media.rtc.rtp.path_timing import MAX_RETRY_SECONDS, PathTiming

MAX_MISSING_PACKETS = 512
"""The maximum number of missing packets. More are an outage."""
KEPT_PACKETS = 1024
"""Packets further than this behind the newest one are not tracked as missing: they would arrive too late."""
NACK_ATTEMPTS = 10
_NACK_BACKOFF = 1.4
"""Each interval between the requests of a packet is 1.4 times the previous one, up to a second. The first one is the
time that a retransmission takes: with 60 ms, ten attempts take about four seconds."""
_LOST_REQUESTS = 2
"""A packet that is requested so often counts as lost: it was not repaired within a round-trip time."""
_KEPT_REPAIRS = 256
"""Packets that arrived by RTX, of which it is noticed whether they also arrive by themselves."""


class _MissingPacket:
    __slots__ = ("requested_at", "requests", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        """When a later packet arrived."""
        self.requests = 0
        self.requested_at = 0.0
        """When it was requested first."""


class MissingPackets:
    """The missing packets of one stream, by their indexes: sequence numbers that do not wrap. Times are in monotonic
    seconds."""

    def __init__(self, timing: PathTiming, *, has_rtx: bool) -> None:
        """`timing` is that of the connection. With `has_rtx`, a packet that arrives in the stream itself was never
        retransmitted, so that its delay tells how packets are reordered."""
        self.next_request_at = float("inf")
        """The earliest time at which `take_due` may return a packet. Infinite if nothing is to be requested."""
        self.given_up = False
        """Whether a packet has been given up. The caller resets it."""
        self.gaps = 0
        """Packets that were missing when a later one arrived."""
        self.recovered = 0
        """Missing packets that arrived later, by reordering or retransmission."""
        self.lost = 0
        """Packets that count as lost since the last `restart`."""
        self.unrepaired = 0
        """Packets that counted as lost at some time."""
        self._timing = timing
        self._has_rtx = has_rtx
        self._missing: dict[int, _MissingPacket] = {}
        """By index. Indexes are added in ascending order."""
        self._repaired: dict[int, float] = {}
        """Since when packets were missing that arrived by RTX, by index."""
        self._requests: list[tuple[float, int]] = []
        """A heap of the times at which to request a packet, with its index. A packet that has arrived stays until its
        time, at most about a second."""

    def __len__(self) -> int:
        """The number of missing packets."""
        return len(self._missing)

    def __contains__(self, index: int) -> bool:
        """Whether a packet is missing: not received, and not so old that it was given up."""
        return index in self._missing

    def restart(self) -> None:
        """Forget all packets: the sender has begun with other numbers."""
        self.lost = 0
        self._missing.clear()
        self._repaired.clear()
        self._requests.clear()

    def add(self, first: int, end: int, now: float) -> None:
        """Add the packets with indexes from `first` to `end` - 1, and remove those that are too old. `end` is that of
        the packet that has arrived."""
        self.gaps += end - first
        if end - first + len(self._missing) > MAX_MISSING_PACKETS:
            for missing in self._missing.values():
                self._count_lost(missing)
            self.lost += end - first
            self.unrepaired += end - first
            self._missing.clear()
            self._requests.clear()
            self.given_up = True
            return
        for index in range(first, end):
            self._missing[index] = _MissingPacket(now)
            due_at = now + self._timing.reordering_seconds
            heappush(self._requests, (due_at, index))
            self.next_request_at = min(self.next_request_at, due_at)
        while self._missing and (oldest := next(iter(self._missing))) < end - KEPT_PACKETS:
            self._count_lost(self._missing.pop(oldest))

    def take_due(self, now: float) -> list[int]:
        """Return the indexes of the packets to request now, in ascending order. They count as requested.

        The caller compares `next_request_at` with the time before it calls, so that this costs nothing for an ordinary
        packet. It must request what is returned, or the packets are requested again only after their retry interval.
        """
        due: list[int] = []
        requests = self._requests
        while requests and requests[0][0] <= now:
            _, index = heappop(requests)
            missing = self._missing.get(index)
            if missing is None:
                continue
            if missing.requests >= NACK_ATTEMPTS:
                # It remains missing, because it may still arrive, but it is not requested again.
                self.given_up = True
                continue
            retry = min(self._timing.retry_seconds * _NACK_BACKOFF**missing.requests, MAX_RETRY_SECONDS)
            heappush(requests, (now + retry, index))
            self._count_request(missing, now)
            due.append(index)
        self.next_request_at = requests[0][0] if requests else float("inf")
        due.sort()
        return due

    def take_repaired(self, index: int, now: float) -> bool:
        """Take a packet that arrived by RTX, or that a later packet repeated. Return False if it was not missing."""
        missing = self._missing.pop(index, None)
        if missing is None:
            return False
        self._count_recovered(missing)
        self._timing.add_reordering(0.0)
        self._measure_round_trip(missing, now)
        self._repaired[index] = missing.since
        if len(self._repaired) > _KEPT_REPAIRS:
            del self._repaired[next(iter(self._repaired))]
        return True

    def take_late(self, index: int, now: float) -> bool:
        """Take a packet that arrived in the stream, behind the newest one. Return False if it was not missing."""
        missing = self._missing.pop(index, None)
        if missing is None:
            repaired = self._repaired.pop(index, None)
            if repaired is not None:
                # Its retransmission was in vain: it was only reordered.
                self._timing.add_reordering(now - repaired)
            return False
        self._count_recovered(missing)
        if self._has_rtx or not missing.requests:
            self._timing.add_reordering(now - missing.since)
        else:
            self._measure_round_trip(missing, now)
        return True

    def _measure_round_trip(self, missing: _MissingPacket, now: float) -> None:
        """Measure the time from the request of a packet to its arrival, unless it was requested too often to tell which
        request was answered."""
        is_clear = missing.requests <= _LOST_REQUESTS or self._timing.round_trip_seconds is None
        if missing.requests and is_clear:
            self._timing.add_round_trip(now - missing.requested_at)

    def _count_request(self, missing: _MissingPacket, now: float) -> None:
        if not missing.requests:
            missing.requested_at = now
        missing.requests += 1
        if missing.requests == _LOST_REQUESTS:
            self.lost += 1
            self.unrepaired += 1

    def _count_lost(self, missing: _MissingPacket) -> None:
        """Count a packet that is given up as lost, unless it counts already."""
        if missing.requests < _LOST_REQUESTS:
            self.lost += 1
            self.unrepaired += 1

    def _count_recovered(self, missing: _MissingPacket) -> None:
        self.recovered += 1
        if missing.requests >= _LOST_REQUESTS:
            self.lost -= 1
