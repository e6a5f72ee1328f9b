"""The receiver of one RTP stream: the place of each packet, jitter and report blocks (RFC 3550 appendix A).

A gap in the sequence numbers means missing packets; `missing_packets` decides when they are requested and which count
as lost. Sequence numbers are extended to indexes that do not wrap (RFC 3550 appendix A.1). The class is sans-I/O: the
caller passes the numbers of each packet and the time, and sends the NACKs and reports.
"""

from enum import Enum

from stagebook.media.rtc.rtp.missing_packets import MissingPackets
from stagebook.media.rtc.rtp.path_timing import PathTiming
from stagebook.media.rtc.rtp.rtcp import ReportBlock
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance

MAX_DROPOUT_PACKETS = 3000
"""A greater jump is a stray packet or a restarted sender (MAX_DROPOUT of RFC 3550 appendix A.1)."""


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

    def __init__(self, *, ssrc: int, clock_rate: int, timing: PathTiming | None = None, has_rtx: bool = False) -> None:
        """`timing` is that of the connection. With `has_rtx`, a packet that arrives in the stream itself was never
        retransmitted, so that its delay tells how packets are reordered."""
        self.ssrc = ssrc
        self.missing = MissingPackets(timing or PathTiming(), has_rtx=has_rtx)
        """The caller requests what is due there."""
        self._clock_rate = clock_rate
        self._gaps_before = self._recovered_before = 0
        """The counts at the last `take_losses`."""
        self._started = False
        self._stray_next: int | None = None
        self._base = self._highest = 0
        """Indexes of the first and of the newest packet: sequence numbers that do not wrap."""
        self._expected_before = self._lost_before = 0
        """The counts at the previous report."""
        self._counted_before = self._unrepaired_before = 0
        """The counts at the last `take_unrepaired`."""
        self._jitter = 0.0
        self._timestamp, self._arrived_at = 0, 0.0
        self._last_report = 0
        self._last_report_at = 0.0

    def receive(self, *, sequence: int, timestamp: int, now: float) -> Arrival:
        """Take a packet that arrived in the stream itself, not by RTX (RFC 3550 appendix A.1)."""
        if not self._started:
            self._start(sequence, timestamp, now)
            return Arrival.NEWEST
        # `sequence_distance` without the call: this runs for each packet.
        ahead = ((sequence - self._highest + 0x8000) & 0xFFFF) - 0x8000
        if not -MAX_DROPOUT_PACKETS <= ahead <= MAX_DROPOUT_PACKETS:
            return self._receive_stray(sequence, timestamp, now)
        self._stray_next = None
        if ahead > 0:
            if ahead > 1 or self.missing:
                self.missing.add(self._highest + 1, self._highest + ahead, now)
            self._highest += ahead
        elif not self.missing.take_late(self._highest + ahead, now):
            return Arrival.DISCARDED
        self._measure_jitter(timestamp, now)
        return Arrival.NEWEST if ahead > 0 else Arrival.LATE

    def repair(self, sequence: int, now: float) -> bool:
        """Take a packet that arrived by RTX, by its original sequence number (RFC 4588 section 4), or that a later
        packet repeated (RFC 2198). Return False if it was not missing."""
        if not self._started:
            return False
        return self.missing.take_repaired(self._index(sequence), now)

    def is_missing(self, sequence: int) -> bool:
        """Return whether a packet is missing: not received, and not so old that it was given up. `sequence` is its
        16-bit number; of the indexes with that number the one closest to the newest packet is meant."""
        return self._index(sequence) in self.missing

    def _index(self, sequence: int) -> int:
        return self._highest + sequence_distance(sequence, self._highest & 0xFFFF)

    def due_nacks(self, now: float) -> list[int]:
        """Return the sequence numbers to request now, in the order of their packets (`MissingPackets.take_due`)."""
        return [index & 0xFFFF for index in self.missing.take_due(now)]

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
        lost_interval = self.missing.lost - self._lost_before
        self._expected_before, self._lost_before = expected, self.missing.lost
        fraction = max(0, (lost_interval << 8) // expected_interval) if expected_interval > 0 else 0
        since = now - self._last_report_at
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(fraction, 255),
            packets_lost=self.missing.lost,
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
        return self.missing.lost

    @property
    def jitter_seconds(self) -> float:
        """The interarrival jitter (RFC 3550 section 6.4.1)."""
        return self._jitter / self._clock_rate

    def take_losses(self) -> tuple[int, int]:
        """Return how many packets were found missing since the last call, and how many missing ones arrived."""
        gaps, recovered = self.missing.gaps, self.missing.recovered
        found, arrived = gaps - self._gaps_before, recovered - self._recovered_before
        self._gaps_before, self._recovered_before = gaps, recovered
        return found, arrived

    def take_unrepaired(self) -> tuple[int, int]:
        """Return how many packets were expected since the last call, and how many were not repaired within a round-trip
        time. Those that arrived later count, because they tell that the path is congested."""
        counted = self.expected_packets
        # After a restart of the sender the numbers begin again.
        expected = max(0, counted - self._counted_before)
        unrepaired = self.missing.unrepaired - self._unrepaired_before
        self._counted_before, self._unrepaired_before = counted, self.missing.unrepaired
        return expected, unrepaired

    def _start(self, sequence: int, timestamp: int, now: float) -> None:
        self._started = True
        self._stray_next = None
        self._base = self._highest = sequence
        self._expected_before = self._lost_before = 0
        self.missing.restart()
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

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        """Update the interarrival jitter, in timestamp units (RFC 3550 appendix A.8)."""
        # `timestamp_distance` without the call.
        ticks = ((timestamp - self._timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        spacing = abs((now - self._arrived_at) * self._clock_rate - ticks)
        # The limit keeps one packet after a pause of the sender from dominating the average.
        self._jitter += (min(spacing, 10.0 * self._clock_rate) - self._jitter) / 16
        self._timestamp, self._arrived_at = timestamp, now
