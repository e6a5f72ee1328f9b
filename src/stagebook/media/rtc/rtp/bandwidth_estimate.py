"""Estimates the bitrate that a publisher may send, which is signalled by REMB (draft-alvestrand-rmcat-remb).

The path to the server is congested if packets are lost, or if they wait longer and longer in a queue. The estimate
follows both signs, once an interval:

* Loss, as in the loss-based controller of Google Congestion Control (draft-ietf-rmcat-gcc-02 section 6): above 10 % the
  rate falls in proportion to the loss, below 2 % it grows, and in between it holds. The loss is that of all streams
  together in the last three intervals, because a stream of few packets may lose half of them by chance. Packets that
  are repaired within a round-trip time do not count: random loss is repaired, while on a congested path the repairs are
  lost like the rest. The rate never falls below what arrives, because the path carries that.
* Queueing delay: while a long queue grows, the rate falls to 85 % of what arrives, so that the queue can drain.

The estimate is for publishers without transport-wide feedback (`transport_arrivals`); the others estimate themselves.
It never exceeds the ceiling, which is the publisher's bitrate limit.
"""

from collections import deque

HIGH_LOSS = 0.10
LOW_LOSS = 0.02
FLOOR_BPS = 150_000
"""The lowest estimate. Below it a video encoder produces no usable frames."""
_GROWTH_FACTOR = 1.08
_BACK_OFF_FACTOR = 0.85
_HEADROOM = 1.5
"""How much more than what arrived the path may carry, as in the rate control of draft-ietf-rmcat-gcc-02 section 5.5."""
_LOSS_INTERVALS = 3
_MIN_PACKETS = 20
"""The loss of fewer packets says nothing."""
_LONG_QUEUE_SECONDS = 0.15
_QUEUE_GROWTH_SECONDS = 0.01
"""A queue that grows by less than this in an interval counts as constant: the growth is within the jitter."""
_BASELINE_INTERVALS = 20
MAX_DRIFT = 0.05
"""A sender's RTP clock may be slower than ours by this share. A queue that grows no faster is noticed by its loss."""


class QueueDelay:
    """Measures how long the packets of one stream wait in queues on the path.

    The delay of a packet is its arrival time minus its sending time, which the RTP timestamp gives up to an unknown
    offset between the clocks. The offset cancels out: the result is the delay of an interval minus the smallest delay
    of the last 20 intervals. The delay of an interval is the minimum over its packets, because senders spread the
    packets of a keyframe over time on purpose.

    A sender whose RTP clock is slow seems to have a queue that grows all the time: by 20 ms a second with a clock that
    is 2 % slow, as some applications time their frames. So the steady growth over the 20 intervals is taken off, up to
    MAX_DRIFT. A new queue is not taken off, because in the intervals before it the delay was constant.
    """

    def __init__(self, *, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._last_timestamp: int | None = None
        self._elapsed_units = 0
        self._shortest: tuple[float, float] | None = None
        self._history: list[tuple[float, float]] = []
        """The shortest delay of each interval, and when its packet arrived."""

    def add_packet(self, *, timestamp: int, now: float) -> None:
        """Add a packet that arrived in order. `now` is in monotonic seconds.

        Late packets must be left out: a retransmission has waited for a NACK, not in a queue of the path.
        """
        if self._last_timestamp is not None:
            # `timestamp_distance` without the call: this runs for each packet.
            self._elapsed_units += ((timestamp - self._last_timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        self._last_timestamp = timestamp
        delay = now - self._elapsed_units / self._clock_rate
        if self._shortest is None or delay < self._shortest[0]:
            self._shortest = delay, now

    def take(self) -> float:
        """Return the queueing delay of the interval that ends now, in seconds; 0.0 without packets."""
        shortest, self._shortest = self._shortest, None
        if shortest is None:
            return 0.0
        self._history = [*self._history[1 - _BASELINE_INTERVALS :], shortest]
        drift = self._drift()
        delays = [delay - arrived_at * drift for delay, arrived_at in self._history]
        return delays[-1] - min(delays)

    def _drift(self) -> float:
        """By how many seconds the delay grows in a second, from the shortest one in the earlier half of the history to
        that in the later half. 0.0 if it does not grow."""
        middle = len(self._history) // 2
        if not middle:
            return 0.0
        (before, before_at), (after, after_at) = min(self._history[:middle]), min(self._history[middle:])
        return min(max(0.0, (after - before) / max(after_at - before_at, 0.001)), MAX_DRIFT)


class BandwidthEstimate:
    """The bitrate to allow one publisher. It starts at the ceiling: a new publisher is limited only after a sign of
    congestion."""

    def __init__(self, *, ceiling_bps: int) -> None:
        self._ceiling_bps = ceiling_bps
        self._queue_seconds = 0.0
        self._intervals: deque[tuple[int, int, int]] = deque(maxlen=_LOSS_INTERVALS)
        """The arrived bitrate, and the expected and unrepaired packets, of the last intervals."""
        self.bitrate_bps = ceiling_bps

    def update(self, *, arrived_bps: int, expected: int, unrepaired: int, queue_seconds: float) -> int:
        """Take the measurements of an interval of about a second. Return the new estimate in bits per second.

        `arrived_bps` is the bitrate of what arrived, retransmissions included. Of `expected` packets, `unrepaired` were
        not there within a round-trip time after they were requested. `queue_seconds` is the queueing delay.
        """
        growing = queue_seconds > self._queue_seconds + _QUEUE_GROWTH_SECONDS
        self._queue_seconds = queue_seconds
        self._intervals.append((arrived_bps, expected, unrepaired))
        lost_fraction = self._lost_fraction()
        # An interval whose loss has been answered already is not answered again.
        lost_now = min(lost_fraction, unrepaired / max(expected, 1))
        if lost_now > HIGH_LOSS:
            carried = _HEADROOM * max(interval[0] for interval in self._intervals)
            reduced = min(self.bitrate_bps, carried) * (1 - lost_now / 2)
            self._limit(max(reduced, min(self.bitrate_bps, arrived_bps)))
        elif queue_seconds > _LONG_QUEUE_SECONDS:
            # A long queue that does not grow is draining, or the sender's clock has jumped: hold the rate.
            if growing:
                self._limit(min(self.bitrate_bps, arrived_bps) * _BACK_OFF_FACTOR)
        elif lost_fraction < LOW_LOSS:
            self._limit(self.bitrate_bps * _GROWTH_FACTOR)
        return self.bitrate_bps

    def _lost_fraction(self) -> float:
        expected = sum(interval[1] for interval in self._intervals)
        return sum(interval[2] for interval in self._intervals) / expected if expected >= _MIN_PACKETS else 0.0

    def _limit(self, bitrate_bps: float) -> None:
        self.bitrate_bps = min(self._ceiling_bps, max(int(bitrate_bps), min(FLOOR_BPS, self._ceiling_bps)))
