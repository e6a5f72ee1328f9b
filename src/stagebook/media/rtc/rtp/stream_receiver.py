"""The receiver of one RTP stream: losses, NACK schedule, jitter and report blocks (RFC 3550 appendix A, RFC 4585).

A gap in the sequence numbers means missing packets. Each is requested by NACK once a reordered packet would have
arrived, and then at growing intervals of at least a round-trip time (`path_timing`), until it arrives, in the stream or
by RTX, or has been requested ten times. If too many packets are missing at once, the path had an outage: retransmission
would only delay the media, so all are given up and the caller requests a keyframe.

A packet counts as lost when it is requested for the second time. So neither a reordered packet nor one that is repaired
in time is reported as lost, and the reports tell what the viewers miss. A late arrival, also by RTX, takes the loss
back, as RFC 3550 appendix A.3 counts late packets as received.

A publisher decides how many packets are missing, so no step scans all of them: the due ones are at the top of a heap,
and the oldest ones at the front of a dictionary that is in ascending order.

Sequence numbers are extended to indexes that do not wrap (RFC 3550 appendix A.1). The class is sans-I/O: the caller
passes the numbers of each packet and the time, and sends the NACKs and reports.
"""

from enum import Enum
from heapq import heappop, heappush

from stagebook.media.rtc.rtp.path_timing import MAX_RETRY_SECONDS, PathTiming
from stagebook.media.rtc.rtp.rtcp import ReportBlock
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance, timestamp_distance

MAX_DROPOUT_PACKETS = 3000
"""A greater jump is a stray packet or a restarted sender (MAX_DROPOUT of RFC 3550 appendix A.1)."""
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


class Arrival(Enum):
    """The place of an arrived packet in its stream."""

    NEWEST = "newest"
    """It has the highest sequence number so far."""
    LATE = "late"
    """It was missing."""
    DISCARDED = "discarded"
    """It is a duplicate, too old, or a stray packet with an implausible sequence number."""
    RESTARTED = "restarted"
    """The sender started again with other sequence numbers. The state of the stream has been reset."""


class _MissingPacket:
    __slots__ = ("requested_at", "requests", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        """When a later packet arrived."""
        self.requests = 0
        self.requested_at = 0.0
        """When it was requested first."""


class StreamReceiver:
    """The receiver of one SSRC. All times are in monotonic seconds."""

    def __init__(self, *, ssrc: int, clock_rate: int, timing: PathTiming | None = None, has_rtx: bool = False) -> None:
        """`timing` is that of the connection. With `has_rtx`, a packet that arrives in the stream itself was never
        retransmitted, so that its delay tells how packets are reordered."""
        self.ssrc = ssrc
        self.recovered_packets = 0
        """Missing packets that arrived later, by reordering or retransmission."""
        self.next_nack_at = float("inf")
        """The earliest time at which `due_nacks` may return a packet. Infinite if nothing is to be requested."""
        self.given_up = False
        """Whether a packet has been given up, so that frames will be damaged. The caller resets it."""
        self._clock_rate = clock_rate
        self._timing = timing or PathTiming()
        self._has_rtx = has_rtx
        self._gap_packets = self._gap_packets_before = self._recovered_before = 0
        """Packets that were missing when a later one arrived; it and `recovered_packets` at the last `take_losses`."""
        self._started = False
        self._stray_next: int | None = None
        self._base = self._highest = 0
        """Indexes of the first and of the newest packet: sequence numbers that do not wrap."""
        self._lost = 0
        """Packets that count as lost since the beginning."""
        self._unrepaired = 0
        """Packets that counted as lost at some time."""
        self._expected_before = self._lost_before = 0
        """The counts at the previous report."""
        self._counted_before = self._unrepaired_before = 0
        """The counts at the last `take_unrepaired`."""
        self._missing: dict[int, _MissingPacket] = {}
        """By index. Indexes are added in ascending order."""
        self._repaired: dict[int, float] = {}
        """Since when packets were missing that arrived by RTX, by index."""
        self._requests: list[tuple[float, int]] = []
        """A heap of the times at which to request a packet, with its index. A packet that has arrived stays until its
        time, at most about a second."""
        self._jitter = 0.0
        self._timestamp, self._arrived_at = 0, 0.0
        self._last_report = 0
        self._last_report_at = 0.0

    def receive(self, *, sequence: int, timestamp: int, now: float) -> Arrival:
        """Take a packet that arrived in the stream itself, not by RTX (RFC 3550 appendix A.1)."""
        if not self._started:
            self._start(sequence, timestamp, now)
            return Arrival.NEWEST
        ahead = sequence_distance(sequence, self._highest & 0xFFFF)
        if abs(ahead) > MAX_DROPOUT_PACKETS:
            return self._receive_stray(sequence, timestamp, now)
        self._stray_next = None
        if ahead > 0:
            self._add_missing(self._highest + 1, self._highest + ahead, now)
            self._highest += ahead
        elif not self._take_late(self._highest + ahead, now):
            return Arrival.DISCARDED
        self._measure_jitter(timestamp, now)
        return Arrival.NEWEST if ahead > 0 else Arrival.LATE

    def repair(self, sequence: int, now: float) -> bool:
        """Take a packet that arrived by RTX, by its original sequence number (RFC 4588 section 4), or that a later
        packet repeated (RFC 2198). Return False if it was not missing."""
        if not self._started:
            return False
        index = self._highest + sequence_distance(sequence, self._highest & 0xFFFF)
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

    def is_missing(self, sequence: int) -> bool:
        """Return whether a packet is missing: not received, and not so old that it was given up. `sequence` is its
        16-bit number; of the indexes with that number the one closest to the newest packet is meant."""
        return self._highest + sequence_distance(sequence, self._highest & 0xFFFF) in self._missing

    def due_nacks(self, now: float) -> list[int]:
        """Return the sequence numbers to request now, in ascending order. They count as requested.

        The caller compares `next_nack_at` with the time before it calls, so that this costs nothing for an ordinary
        packet. It must send what is returned, or the packets are requested again only after their retry interval.
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
        self.next_nack_at = requests[0][0] if requests else float("inf")
        due.sort()
        return [index & 0xFFFF for index in due]

    def receive_sender_report(self, ntp: int, now: float) -> None:
        """Take the NTP timestamp of a sender report. The next report block repeats it, so that the sender can compute
        the round-trip time (RFC 3550 section 6.4.1)."""
        self._last_report = (ntp >> 16) & 0xFFFFFFFF
        self._last_report_at = now

    def report(self, now: float) -> ReportBlock | None:
        """Return the block for the next receiver report (RFC 3550 appendix A.3) and start a new interval.

        Return None before the first packet.
        """
        if not self._started:
            return None
        expected = self._highest - self._base + 1
        expected_interval = expected - self._expected_before
        lost_interval = self._lost - self._lost_before
        self._expected_before, self._lost_before = expected, self._lost
        fraction = max(0, (lost_interval << 8) // expected_interval) if expected_interval > 0 else 0
        since = now - self._last_report_at
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(fraction, 255),
            packets_lost=self._lost,
            highest_sequence=self._highest,
            jitter=int(self._jitter),
            last_sender_report=self._last_report,
            delay=int(since * 65536) if self._last_report else 0,
        )

    @property
    def expected_packets(self) -> int:
        """The packets from the first to the newest, of which some may be missing."""
        return self._highest - self._base + 1 if self._started else 0

    @property
    def lost_packets(self) -> int:
        """The packets that count as lost."""
        return self._lost

    @property
    def jitter_seconds(self) -> float:
        """The interarrival jitter (RFC 3550 section 6.4.1)."""
        return self._jitter / self._clock_rate

    def take_losses(self) -> tuple[int, int]:
        """Return how many packets were found missing since the last call, and how many missing ones arrived."""
        missing = self._gap_packets - self._gap_packets_before
        recovered = self.recovered_packets - self._recovered_before
        self._gap_packets_before, self._recovered_before = self._gap_packets, self.recovered_packets
        return missing, recovered

    def take_unrepaired(self) -> tuple[int, int]:
        """Return how many packets were expected since the last call, and how many were not repaired within a round-trip
        time. Those that arrived later count, because they tell that the path is congested."""
        counted = self.expected_packets
        # After a restart of the sender the numbers begin again.
        expected = max(0, counted - self._counted_before)
        unrepaired = self._unrepaired - self._unrepaired_before
        self._counted_before, self._unrepaired_before = counted, self._unrepaired
        return expected, unrepaired

    def _start(self, sequence: int, timestamp: int, now: float) -> None:
        self._started = True
        self._stray_next = None
        self._base = self._highest = sequence
        self._lost = self._expected_before = self._lost_before = 0
        self._missing.clear()
        self._repaired.clear()
        self._requests.clear()
        self._jitter = 0.0
        self._timestamp, self._arrived_at = timestamp, now

    def _receive_stray(self, sequence: int, timestamp: int, now: float) -> Arrival:
        """Take a packet with an implausible sequence number. One is a stray packet; two consecutive ones mean that the
        sender has restarted (RFC 3550 appendix A.1)."""
        if sequence != self._stray_next:
            self._stray_next = (sequence + 1) & 0xFFFF
            return Arrival.DISCARDED
        self._start(sequence, timestamp, now)
        return Arrival.RESTARTED

    def _add_missing(self, first: int, end: int, now: float) -> None:
        """Add the packets with indexes from `first` to `end` - 1, and remove those that are too old."""
        self._gap_packets += end - first
        if end - first + len(self._missing) > MAX_MISSING_PACKETS:
            for missing in self._missing.values():
                self._count_lost(missing)
            self._lost += end - first
            self._unrepaired += end - first
            self._missing.clear()
            self._requests.clear()
            self.given_up = True
            return
        for index in range(first, end):
            self._missing[index] = _MissingPacket(now)
            due_at = now + self._timing.reordering_seconds
            heappush(self._requests, (due_at, index))
            self.next_nack_at = min(self.next_nack_at, due_at)
        while self._missing and (oldest := next(iter(self._missing))) < end - KEPT_PACKETS:
            self._count_lost(self._missing.pop(oldest))

    def _take_late(self, index: int, now: float) -> bool:
        """Take a packet behind the newest one. Return False if it was not missing."""
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
            self._lost += 1
            self._unrepaired += 1

    def _count_lost(self, missing: _MissingPacket) -> None:
        """Count a packet that is given up as lost, unless it counts already."""
        if missing.requests < _LOST_REQUESTS:
            self._lost += 1
            self._unrepaired += 1

    def _count_recovered(self, missing: _MissingPacket) -> None:
        self.recovered_packets += 1
        if missing.requests >= _LOST_REQUESTS:
            self._lost -= 1

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        """Update the interarrival jitter, in timestamp units (RFC 3550 appendix A.8)."""
        # The limit keeps one packet after a pause of the sender from dominating the average.
        spacing = (now - self._arrived_at) * self._clock_rate - timestamp_distance(timestamp, self._timestamp)
        self._jitter += (min(abs(spacing), 10.0 * self._clock_rate) - self._jitter) / 16
        self._timestamp, self._arrived_at = timestamp, now
