"""Which retransmissions a viewer is sent: within a share of what its line carries, and no packet twice in a round trip.

A viewer repeats a NACK until the packet comes. Where its line is full, the answers wait in the same queue as the media,
and each repeated answer makes the queue longer. So a packet that was sent again less than a round trip ago is not sent
once more, and all retransmissions of video have a budget of bytes: what the estimate leaves beside the media, at least
MIN_SHARE and at most MAX_SHARE of it.
"""

from typing import Final

MAX_SHARE: Final = 0.25
MIN_SHARE: Final = 0.1
"""Enough for a line that loses 5 % at random, also while the estimate is no higher than what is sent."""
UNKNOWN_BPS: Final = 2_500_000
"""The estimate that counts before there is one."""
BURST_SECONDS: Final = 0.5
MIN_BURST_BYTES: Final = 12_000
DEFAULT_ROUND_TRIP_SECONDS: Final = 0.1
MIN_ROUND_TRIP_SECONDS: Final = 0.02
MAX_REPEATED_PACKETS: Final = 512


class ResendBudget:
    """The bytes of retransmissions of one viewer: a token bucket whose rate follows the estimate."""

    def __init__(self) -> None:
        self.refused_packets = 0
        self._left_bytes = float(MIN_BURST_BYTES)
        self._renewed_at: float | None = None

    def renew(self, now: float, *, estimate_bps: int | None, sent_bps: float | None) -> None:
        """Add what has accrued since the last call. `sent_bps` is what is sent in all; None if unknown."""
        known_bps = UNKNOWN_BPS if estimate_bps is None else estimate_bps
        spare_bps = MAX_SHARE * known_bps if sent_bps is None else known_bps - sent_bps
        rate_bytes = max(MIN_SHARE * known_bps, min(spare_bps, MAX_SHARE * known_bps)) / 8
        if self._renewed_at is not None:
            self._left_bytes += rate_bytes * (now - self._renewed_at)
        self._left_bytes = min(self._left_bytes, max(MIN_BURST_BYTES, rate_bytes * BURST_SECONDS))
        self._renewed_at = now

    def take(self, size_bytes: int) -> bool:
        """Take the bytes of a packet. False, and nothing is taken, if they are not left."""
        if size_bytes > self._left_bytes:
            self.refused_packets += 1
            return False
        self._left_bytes -= size_bytes
        return True


class RepeatTimes:
    """When the packets of one stream were last sent again."""

    def __init__(self) -> None:
        self._sent_at: dict[int, float] = {}

    def may_repeat(self, sequence: int, now: float, round_trip_seconds: float | None) -> bool:
        """Whether a packet may be sent again: a round trip has passed since the last time. It counts as sent then."""
        wait = DEFAULT_ROUND_TRIP_SECONDS if round_trip_seconds is None else round_trip_seconds
        before = self._sent_at.pop(sequence, None)
        if before is not None and now - before < max(wait, MIN_ROUND_TRIP_SECONDS):
            self._sent_at[sequence] = before
            return False
        if len(self._sent_at) >= MAX_REPEATED_PACKETS:
            # The order of the entries is that of their times, apart from those that were refused.
            del self._sent_at[next(iter(self._sent_at))]
        self._sent_at[sequence] = now
        return True
