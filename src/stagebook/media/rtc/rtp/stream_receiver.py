"""What arrives of one RTP stream and what is missing: loss, jitter, NACK schedule, report blocks (RFC 3550, RFC 4585).

Sans-I/O: the caller brings packets' numbers and the time, and sends what is asked for. Payloads are not seen here.
"""

from enum import Enum

from stagebook.media.rtc.rtp.rtcp import ReportBlock
from stagebook.media.rtc.rtp.rtp_packet import sequence_distance, timestamp_distance

MAX_DROPOUT_PACKETS = 3000
"""A greater jump is a stray packet or a restarted sender (RFC 3550 appendix A.1)."""
MAX_MISSING_PACKETS = 512
"""What may be awaited at once. More is not a loss to repair but an outage: a keyframe helps, NACKs do not."""
KEPT_PACKETS = 1024
"""How far behind the newest a packet may come in and still be of use."""
NACK_ATTEMPTS = 10
_NACK_RETRY_SECONDS = 0.06
_NACK_BACKOFF = 1.4
"""Ten attempts, 60 ms apart at first: about four seconds until a packet is given up."""


class Arrival(Enum):
    """What a packet is to its stream."""

    NEWEST = "newest"
    LATE = "late"
    """It was missing, or overtaken."""
    DISCARDED = "useless"
    """A duplicate, too old, or a stray with a wild sequence number."""
    RESTARTED = "restarted"
    """The sender began anew with other numbers: everything known of the stream is void."""


class _Missing:
    """A packet that is awaited: when to ask (again), and how often it was asked for."""

    __slots__ = ("attempts", "next_nack_at")

    def __init__(self, next_nack_at: float) -> None:
        self.next_nack_at = next_nack_at
        self.attempts = 0


class StreamReceiver:
    """The receiving end of one SSRC. All times are monotonic seconds."""

    def __init__(self, *, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.recovered_packets = 0
        """Packets that came although they had been missing."""
        self.next_nack_at = float("inf")
        """When `due_nacks` may have something to ask for."""
        self.given_up = False
        """A packet was given up since the caller last cleared this: pictures will be damaged."""
        self._clock_rate = clock_rate
        self._started = False
        self._stray_next: int | None = None
        self._base = self._highest = 0
        """Unwrapped sequence numbers: they grow beyond 16 bits."""
        self._received = 0
        self._expected_before = self._received_before = 0
        self._missing: dict[int, _Missing] = {}
        self._jitter = 0.0
        self._timestamp, self._arrived_at = 0, 0.0
        self._last_report = 0
        self._last_report_at = 0.0

    def receive(self, *, sequence: int, timestamp: int, now: float) -> Arrival:
        """Take a packet that came in the stream itself (not by RTX)."""
        if not self._started:
            self._start(sequence, timestamp, now)
            return Arrival.NEWEST
        ahead = sequence_distance(sequence, self._highest & 0xFFFF)
        if abs(ahead) > MAX_DROPOUT_PACKETS:
            return self._receive_stray(sequence, timestamp, now)
        self._stray_next = None
        if ahead > 0:
            self._await(self._highest + 1, self._highest + ahead, now)
            self._highest += ahead
        elif not self._found(self._highest + ahead):
            return Arrival.DISCARDED
        self._received += 1
        self._measure_jitter(timestamp, now)
        return Arrival.NEWEST if ahead > 0 else Arrival.LATE

    def repair(self, sequence: int) -> bool:
        """Take a packet that came by RTX, by its original sequence number. False if it was not missing."""
        if not self._started:
            return False
        return self._found(self._highest + sequence_distance(sequence, self._highest & 0xFFFF))

    def is_missing(self, sequence: int) -> bool:
        """Whether a packet is awaited."""
        return self._highest + sequence_distance(sequence, self._highest & 0xFFFF) in self._missing

    def due_nacks(self, now: float) -> list[int]:
        """The sequence numbers to ask for now, in order. Counts as asked."""
        due: list[int] = []
        self.next_nack_at = float("inf")
        for index, missing in self._missing.items():
            if missing.next_nack_at <= now:
                if missing.attempts >= NACK_ATTEMPTS:
                    # It stays known as missing, for it may still come; it is only not asked for any more.
                    missing.next_nack_at = float("inf")
                    self.given_up = True
                    continue
                missing.next_nack_at = now + _NACK_RETRY_SECONDS * _NACK_BACKOFF**missing.attempts
                missing.attempts += 1
                due.append(index & 0xFFFF)
            self.next_nack_at = min(self.next_nack_at, missing.next_nack_at)
        return due

    def receive_sender_report(self, ntp: int, now: float) -> None:
        """Remember the sender's last report, for the round trip that it computes from ours."""
        self._last_report = (ntp >> 16) & 0xFFFFFFFF
        self._last_report_at = now

    def report(self, now: float) -> ReportBlock | None:
        """The block for the next receiver report (RFC 3550 appendix A.3); starts a new interval."""
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

    def _start(self, sequence: int, timestamp: int, now: float) -> None:
        self._started = True
        self._stray_next = None
        self._base = self._highest = sequence
        self._received = 1
        self._expected_before = self._received_before = 0
        self._missing.clear()
        self._jitter = 0.0
        self._timestamp, self._arrived_at = timestamp, now

    def _receive_stray(self, sequence: int, timestamp: int, now: float) -> Arrival:
        """One wild number is noise, two in a row are a sender that began anew (RFC 3550 appendix A.1)."""
        if sequence != self._stray_next:
            self._stray_next = (sequence + 1) & 0xFFFF
            return Arrival.DISCARDED
        self._start(sequence, timestamp, now)
        return Arrival.RESTARTED

    def _await(self, first: int, end: int, now: float) -> None:
        """Await the packets first..end-1, and forget those that are too old."""
        if end - first + len(self._missing) > MAX_MISSING_PACKETS:
            self._missing.clear()
            self.given_up = True
            return
        for index in range(first, end):
            self._missing[index] = _Missing(now)
            self.next_nack_at = now
        for index in [index for index in self._missing if index < end - KEPT_PACKETS] if self._missing else ():
            del self._missing[index]

    def _found(self, index: int) -> bool:
        if self._missing.pop(index, None) is None:
            return False
        self.recovered_packets += 1
        return True

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        """RFC 3550 appendix A.8, in timestamp units."""
        spacing = (now - self._arrived_at) * self._clock_rate - timestamp_distance(timestamp, self._timestamp)
        self._jitter += (min(abs(spacing), 10.0 * self._clock_rate) - self._jitter) / 16
        self._timestamp, self._arrived_at = timestamp, now
