"""The timing of one publisher's path: how late reordered packets arrive, and how long a retransmission takes.

All streams of a connection take one path, so they share what is measured. A missing packet is requested by NACK only
after the time in which a reordered packet would have arrived by itself, and requested again only after the time in
which its retransmission would have arrived.

* Reordering: for each of the last gaps it is known how late the packet itself arrived, or that it never did. The wait
  is a bit longer than the second longest of these times, so that one stray packet does not delay all repairs. Without
  reordering there is no wait. The wait is bounded, because a repair that comes too late for the viewers is useless.
* Round-trip time: from the first request of a packet to its retransmission, smoothed as in RFC 6298 section 2. The
  receiver of media has no other measurement: receiver reports tell it only to the sender (RFC 3550 section 6.4.1).
"""

from collections import deque

MAX_REORDERING_SECONDS = 0.1
"""The longest wait for a packet that may be reordered. Packets that come later are retransmitted in vain."""
FIRST_RETRY_SECONDS = 0.1
"""The time after which a packet is requested again, before the first measurement of the round-trip time."""
MIN_RETRY_SECONDS = 0.03
MAX_RETRY_SECONDS = 1.0
_KEPT_GAPS = 32
_MARGIN_FACTOR = 1.25
_MARGIN_SECONDS = 0.005
_MIN_DEVIATION_SECONDS = 0.01
"""How much a retransmission may be later than expected: the peer sends it with its next packets."""


class PathTiming:
    """Measured on all streams of one connection. Times are in seconds."""

    def __init__(self) -> None:
        self.reordering_seconds = 0.0
        """How long to wait for a missing packet before it is requested."""
        self.retry_seconds = FIRST_RETRY_SECONDS
        """How long to wait for the retransmission of a packet before it is requested again."""
        self.round_trip_seconds: float | None = None
        """Smoothed; None before the first measurement."""
        self._deviation_seconds = 0.0
        self._gaps: deque[float] = deque(maxlen=_KEPT_GAPS)

    def add_reordering(self, late_seconds: float) -> None:
        """Add how long after a later packet a missing one arrived by itself; 0.0 for one that was lost."""
        # A packet that no wait would have spared a request counts as lost.
        self._gaps.append(late_seconds if late_seconds <= MAX_REORDERING_SECONDS else 0.0)
        longest = sorted(self._gaps)[-2:][0] if len(self._gaps) > 1 else late_seconds
        wait = longest * _MARGIN_FACTOR + _MARGIN_SECONDS if longest > 0 else 0.0
        self.reordering_seconds = min(wait, MAX_REORDERING_SECONDS)

    def add_round_trip(self, seconds: float) -> None:
        """Add the time from the request of a packet to its retransmission."""
        if self.round_trip_seconds is None:
            self.round_trip_seconds, self._deviation_seconds = seconds, seconds / 2
        else:
            self._deviation_seconds += (abs(seconds - self.round_trip_seconds) - self._deviation_seconds) / 4
            self.round_trip_seconds += (seconds - self.round_trip_seconds) / 8
        retry = self.round_trip_seconds + max(2 * self._deviation_seconds, _MIN_DEVIATION_SECONDS)
        self.retry_seconds = min(max(retry, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS)
