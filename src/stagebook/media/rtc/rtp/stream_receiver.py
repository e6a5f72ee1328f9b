"""The receiver of one RTP stream: losses, NACK schedule, jitter and report blocks (RFC 3550 appendix A, RFC 4585).

A gap in the sequence numbers means missing packets. Each is requested by NACK at once and then at growing intervals,
until it arrives, in the stream or by RTX, or has been requested ten times. If too many packets are missing at once, the
path had an outage: retransmission would only delay the media, so all are given up and the caller requests a keyframe.

A publisher decides how many packets are missing, so no step scans all of them: the due ones are at the top of a heap,
and the oldest ones at the front of a dictionary that is in ascending order.

Sequence numbers are extended to indexes that do not wrap (RFC 3550 appendix A.1). The class is sans-I/O: the caller
passes the numbers of each packet and the time, and sends the NACKs and reports.
"""

from enum import Enum
from heapq import heappop, heappush

from stagebook.media.rtc.rtp.rtcp import ReportBlock
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance, timestamp_distance

MAX_DROPOUT_PACKETS = 3000
"""A greater jump is a stray packet or a restarted sender (MAX_DROPOUT of RFC 3550 appendix A.1)."""
MAX_MISSING_PACKETS = 512
"""The maximum number of missing packets. More are an outage."""
KEPT_PACKETS = 1024
"""Packets further than this behind the newest one are not tracked as missing: they would arrive too late."""
NACK_ATTEMPTS = 10
_NACK_RETRY_SECONDS = 0.06
_NACK_BACKOFF = 1.4
"""Ten attempts, at first 60 ms apart, each interval 1.4 times the previous one: about four seconds in total."""


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


class StreamReceiver:
    """The receiver of one SSRC. All times are in monotonic seconds."""

    def __init__(self, *, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.recovered_packets = 0
        """Missing packets that arrived later, by reordering or retransmission."""
        self.next_nack_at = float("inf")
        """The earliest time at which `due_nacks` may return a packet. Infinite if nothing is to be requested."""
        self.given_up = False
        """Whether a packet has been given up, so that frames will be damaged. The caller resets it."""
        self._clock_rate = clock_rate
        self._gap_packets = self._gap_packets_before = self._recovered_before = 0
        """Packets that were missing when a later one arrived; it and `recovered_packets` at the last `take_losses`."""
        self._started = False
        self._stray_next: int | None = None
        self._base = self._highest = 0
        """Indexes of the first and of the newest packet: sequence numbers that do not wrap."""
        self._received = 0
        self._expected_before = self._received_before = 0
        """The counts at the previous report."""
        self._missing: dict[int, int] = {}
        """How often each missing packet has been requested, by its index. Indexes are added in ascending order."""
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
        elif not self._remove_missing(self._highest + ahead):
            return Arrival.DISCARDED
        self._received += 1
        self._measure_jitter(timestamp, now)
        return Arrival.NEWEST if ahead > 0 else Arrival.LATE

    def repair(self, sequence: int) -> bool:
        """Take a packet that arrived by RTX, by its original sequence number (RFC 4588 section 4).

        Return False if it was not missing. Reports still count it as lost: they describe the stream itself.
        """
        if not self._started:
            return False
        return self._remove_missing(self._highest + sequence_distance(sequence, self._highest & 0xFFFF))

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
            attempts = self._missing.get(index)
            if attempts is None:
                continue
            if attempts >= NACK_ATTEMPTS:
                # It remains missing, because it may still arrive, but it is not requested again.
                self.given_up = True
                continue
            self._missing[index] = attempts + 1
            heappush(requests, (now + _NACK_RETRY_SECONDS * _NACK_BACKOFF**attempts, index))
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
        lost_interval = expected_interval - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        fraction = max(0, (lost_interval << 8) // expected_interval) if expected_interval > 0 else 0
        since = now - self._last_report_at
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(fraction, 255),
            packets_lost=expected - self._received,
            highest_sequence=self._highest,
            jitter=int(self._jitter),
            last_sender_report=self._last_report,
            delay=int(since * 65536) if self._last_report else 0,
        )

    def take_losses(self) -> tuple[int, int]:
        """Return how many packets were found missing since the last call, and how many missing ones arrived."""
        missing = self._gap_packets - self._gap_packets_before
        recovered = self.recovered_packets - self._recovered_before
        self._gap_packets_before, self._recovered_before = self._gap_packets, self.recovered_packets
        return missing, recovered

    def _start(self, sequence: int, timestamp: int, now: float) -> None:
        self._started = True
        self._stray_next = None
        self._base = self._highest = sequence
        self._received = 1
        self._expected_before = self._received_before = 0
        self._missing.clear()
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
            self._missing.clear()
            self._requests.clear()
            self.given_up = True
            return
        for index in range(first, end):
            self._missing[index] = 0
            heappush(self._requests, (now, index))
            self.next_nack_at = now
        while self._missing and (oldest := next(iter(self._missing))) < end - KEPT_PACKETS:
            del self._missing[oldest]

    def _remove_missing(self, index: int) -> bool:
        """Return False if the packet was not missing."""
        if self._missing.pop(index, None) is None:
            return False
        self.recovered_packets += 1
        return True

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        """Update the interarrival jitter, in timestamp units (RFC 3550 appendix A.8)."""
        # The limit keeps one packet after a pause of the sender from dominating the average.
        spacing = (now - self._arrived_at) * self._clock_rate - timestamp_distance(timestamp, self._timestamp)
        self._jitter += (min(abs(spacing), 10.0 * self._clock_rate) - self._jitter) / 16
        self._timestamp, self._arrived_at = timestamp, now
