"""Estimates the bitrate that a publisher may send, which is signalled by REMB (draft-alvestrand-rmcat-remb).

The path to the server is congested if packets are lost, or if they wait longer and longer in a queue. The estimate
follows both signs, once an interval:

* Loss, as in the loss-based controller of Google Congestion Control (draft-ietf-rmcat-gcc-02 section 6): above 10 % the
  rate falls in proportion to the loss, below 2 % it grows, and in between it holds.
* Queueing delay: while a long queue grows, the rate falls to 85 % of what arrives, so that the queue can drain.

The estimate never exceeds the ceiling, which is the publisher's bitrate limit.
"""

from stagebook.media.rtc.rtp.rtp_packet import timestamp_distance

HIGH_LOSS = 0.10
LOW_LOSS = 0.02
FLOOR_BPS = 150_000
"""The lowest estimate. Below it a video encoder produces no usable frames."""
_GROWTH_FACTOR = 1.08
_BACK_OFF_FACTOR = 0.85
_LONG_QUEUE_SECONDS = 0.15
_QUEUE_GROWTH_SECONDS = 0.01
"""A queue that grows by less than this in an interval counts as constant: the growth is within the jitter."""
_BASELINE_INTERVALS = 20


class QueueDelay:
    """Measures how long the packets of one stream wait in queues on the path.

    The delay of a packet is its arrival time minus its sending time, which the RTP timestamp gives up to an unknown
    offset between the clocks. The offset cancels out: the result is the delay of an interval minus the smallest delay
    of the last 20 intervals. Over such a short time the drift of the clocks does not matter. The delay of an interval
    is the minimum over its packets, because senders spread the packets of a keyframe over time on purpose.
    """

    def __init__(self, *, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._last_timestamp: int | None = None
        self._elapsed_units = 0
        self._shortest: float | None = None
        self._history: list[float] = []

    def add_packet(self, *, timestamp: int, now: float) -> None:
        """Add a packet that arrived in order. `now` is in monotonic seconds.

        Late packets must be left out: a retransmission has waited for a NACK, not in a queue of the path.
        """
        if self._last_timestamp is not None:
            self._elapsed_units += timestamp_distance(timestamp, self._last_timestamp)
        self._last_timestamp = timestamp
        delay = now - self._elapsed_units / self._clock_rate
        if self._shortest is None or delay < self._shortest:
            self._shortest = delay

    def take(self) -> float:
        """Return the queueing delay of the interval that ends now, in seconds; 0.0 without packets."""
        shortest, self._shortest = self._shortest, None
        if shortest is None:
            return 0.0
        self._history = [*self._history[1 - _BASELINE_INTERVALS :], shortest]
        return shortest - min(self._history)


class BandwidthEstimate:
    """The bitrate to allow one publisher. It starts at the ceiling: a new publisher is limited only after a sign of
    congestion."""

    def __init__(self, *, ceiling_bps: int) -> None:
        self._ceiling_bps = ceiling_bps
        self._queue_seconds = 0.0
        self.bitrate_bps = ceiling_bps

    def update(self, *, arrived_bps: int, lost_fraction: float, queue_seconds: float) -> int:
        """Take the measurements of an interval of about a second. Return the new estimate in bits per second.

        `arrived_bps` is the bitrate of what arrived, `lost_fraction` the share of lost packets (0 to 1),
        `queue_seconds` the queueing delay.
        """
        growing = queue_seconds > self._queue_seconds + _QUEUE_GROWTH_SECONDS
        self._queue_seconds = queue_seconds
        if lost_fraction > HIGH_LOSS:
            self._limit(min(self.bitrate_bps, arrived_bps) * (1 - lost_fraction / 2))
        elif queue_seconds > _LONG_QUEUE_SECONDS:
            # A long queue that does not grow is draining, or the sender's clock has jumped: hold the rate.
            if growing:
                self._limit(min(self.bitrate_bps, arrived_bps) * _BACK_OFF_FACTOR)
        elif lost_fraction < LOW_LOSS:
            self._limit(self.bitrate_bps * _GROWTH_FACTOR)
        return self.bitrate_bps

    def _limit(self, bitrate_bps: float) -> None:
        self.bitrate_bps = min(self._ceiling_bps, max(int(bitrate_bps), min(FLOOR_BPS, self._ceiling_bps)))
