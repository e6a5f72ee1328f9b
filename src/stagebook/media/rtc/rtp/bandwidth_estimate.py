"""How much a publisher may send, judged by what arrives: the rate that REMB tells (draft-alvestrand-rmcat-remb).

Two signs of a full path: loss (as RFC 8698 and Google's loss-based control read it: above a tenth go down, below a
fiftieth go up) and packets that wait longer and longer in a queue on the way. Sans-I/O, no clock of its own.
"""

from stagebook.media.rtc.rtp.rtp_packet import timestamp_distance

HIGH_LOSS = 0.10
LOW_LOSS = 0.02
FLOOR_BPS = 150_000
_GROWTH = 1.08
_BACK_OFF = 0.85
_LONG_QUEUE_SECONDS = 0.15
_GROWING_SECONDS = 0.01
_BASELINE_INTERVALS = 20


class QueueDelay:
    """How long packets of one stream wait on their way, beyond the shortest way seen in the last intervals.

    Compares arrival times with RTP timestamps, so an offset of the clocks does not matter, and a drift hardly does:
    the baseline is that of the last 20 intervals. A whole interval's minimum counts, for senders spread a keyframe's
    packets over time on purpose.
    """

    def __init__(self, *, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._last_timestamp: int | None = None
        self._elapsed_units = 0
        self._shortest: float | None = None
        self._history: list[float] = []

    def add_packet(self, *, timestamp: int, now: float) -> None:
        """A packet came in its order. `now`: monotonic seconds."""
        if self._last_timestamp is not None:
            self._elapsed_units += timestamp_distance(timestamp, self._last_timestamp)
        self._last_timestamp = timestamp
        delay = now - self._elapsed_units / self._clock_rate
        if self._shortest is None or delay < self._shortest:
            self._shortest = delay

    def take(self) -> float:
        """Seconds of waiting in the interval that ends now; 0.0 where nothing came."""
        shortest, self._shortest = self._shortest, None
        if shortest is None:
            return 0.0
        self._history = [*self._history[1 - _BASELINE_INTERVALS :], shortest]
        return shortest - min(self._history)


class BandwidthEstimate:
    """The rate to allow. It starts at the ceiling: a sender that has just come shall not be held back for nothing."""

    def __init__(self, *, ceiling_bps: int) -> None:
        self._ceiling_bps = ceiling_bps
        self._queue_seconds = 0.0
        self.bitrate_bps = ceiling_bps

    def update(self, *, arrived_bps: int, lost_fraction: float, queue_seconds: float) -> int:
        """Judge an interval (about a second) and return the rate to allow from now on, in bits per second."""
        growing = queue_seconds > self._queue_seconds + _GROWING_SECONDS
        self._queue_seconds = queue_seconds
        if lost_fraction > HIGH_LOSS:
            self._limit(min(self.bitrate_bps, arrived_bps) * (1 - lost_fraction / 2))
        elif queue_seconds > _LONG_QUEUE_SECONDS:
            # A long queue that does not grow is draining or a jump of the sender's clock: wait, do not go down again.
            if growing:
                self._limit(min(self.bitrate_bps, arrived_bps) * _BACK_OFF)
        elif lost_fraction < LOW_LOSS:
            self._limit(self.bitrate_bps * _GROWTH)
        return self.bitrate_bps

    def _limit(self, bitrate_bps: float) -> None:
        self.bitrate_bps = min(self._ceiling_bps, max(int(bitrate_bps), min(FLOOR_BPS, self._ceiling_bps)))
