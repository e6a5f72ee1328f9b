"""How much may be sent: additive or multiplicative increase, multiplicative decrease (draft-ietf-rmcat-gcc-02).

* While the queue on the path grows, the rate falls to 85 % of what arrives (section 5.5), at most once in a round trip.
* Otherwise it grows: by 8 % a second far from the rate at which the path was last full, and by about a packet for each
  round trip near to it.
* Loss above 15 % lowers it, too, and loss above 2 % ends the growth (section 6); loss that the path always has does not
  count: that which is no lower at a lower rate.
* It never grows beyond one and a half times of what arrives. Who sends less than the path carries learns nothing
  of what is above: a probe says more (`bandwidth_probe`).
"""

from typing import Final

from stagebook.media.rtc.congestion.loss_window import HEAVY
from stagebook.media.rtc.congestion.overuse_detector import PathUsage

FLOOR_BPS: Final = 30_000
"""The lowest estimate: audio alone."""
CEILING_BPS: Final = 50_000_000
START_BPS: Final = 5_000_000
"""The first estimate. It is above what most publishers send: a viewer starts with the best picture, and the first
feedback of a path that cannot carry it arrives after a fraction of a second."""
BACK_OFF: Final = 0.85
BURST_BACK_OFF: Final = 0.95
"""Where less was sent than arrives while the queue drains: a burst, such as a keyframe, has filled the queue, and shows
what the path carries. There is no need to send less than before."""
HIGH_LOSS: Final = 0.15
"""Above the 10 % of the draft: a line that loses so much in runs is not congested, and a viewer of a publisher without
layers would lose its picture for a twentieth less."""
LOW_LOSS: Final = 0.02
_UNUSUAL_LOSS = 0.03
MAX_INHERENT_LOSS: Final = 0.3
_INHERENT_SECONDS = 30.0
_SETTLING_SECONDS = 0.4
_GROWTH_PER_SECOND = 1.08
_MAX_SHARE_OF_DELIVERED = 1.5
_PACKET_BITS = 9600
_NEAR_FULL = 0.95
_RESPONSE_SECONDS = 0.1
_MIN_DECREASE_INTERVAL_SECONDS = 0.1
_DEFAULT_ROUND_TRIP_SECONDS = 0.1


class RateControl:
    """The rate for one connection."""

    def __init__(self, bitrate_bps: float = START_BPS) -> None:
        """`bitrate_bps` is the first estimate."""
        self.bitrate_bps = float(bitrate_bps)
        self.round_trip_seconds: float | None = None
        self.decreased_at = float("-inf")
        self._updated_at: float | None = None
        self._full_bps: float | None = None
        """What arrived when the path was last full, as a moving average."""
        self._inherent_loss = 0.0
        self._inherent_until = float("-inf")
        self._lossy = (0.0, 0.0, float("-inf"))
        """The highest bitrate that was sent with high loss lately, that loss, and when."""
        self._is_held = False
        """Whether the loss forbids growth."""

    @property
    def _round_trip(self) -> float:
        return min(_DEFAULT_ROUND_TRIP_SECONDS if self.round_trip_seconds is None else self.round_trip_seconds, 1.0)

    def update(self, usage: PathUsage, delivered_bps: float | None, sent_bps: float | None, now: float) -> None:
        """Follow the detector. `delivered_bps` is what arrives, `sent_bps` what was sent in a longer time; None if
        unknown. `now` is in seconds."""
        elapsed = 0.0 if self._updated_at is None else min(now - self._updated_at, 1.0)
        self._updated_at = now
        if delivered_bps is None:
            return
        if usage is PathUsage.OVERUSED:
            self._decrease(delivered_bps, sent_bps, now)
        elif usage is PathUsage.NORMAL and not self._is_held:
            self._increase(delivered_bps, elapsed)

    def _decrease(self, delivered_bps: float, sent_bps: float | None, now: float) -> None:
        if now - self.decreased_at < max(_MIN_DECREASE_INTERVAL_SECONDS, min(self._round_trip, 0.2)):
            return
        self.decreased_at = now
        if self._full_bps is None or not 0.5 < delivered_bps / self._full_bps < 1.5:
            self._full_bps = delivered_bps
        else:
            self._full_bps += 0.2 * (delivered_bps - self._full_bps)
        is_burst = sent_bps is not None and sent_bps < BACK_OFF * delivered_bps
        self._set(min(self.bitrate_bps, (BURST_BACK_OFF if is_burst else BACK_OFF) * delivered_bps))

    def _increase(self, delivered_bps: float, elapsed: float) -> None:
        full = self._full_bps
        if full is not None and delivered_bps > 1.3 * full:
            self._full_bps = full = None
        if full is not None and self.bitrate_bps > _NEAR_FULL * full:
            raised = self.bitrate_bps + _PACKET_BITS * elapsed / (self._round_trip + _RESPONSE_SECONDS)
        else:
            raised = self.bitrate_bps * _GROWTH_PER_SECOND**elapsed
        limit = _MAX_SHARE_OF_DELIVERED * delivered_bps + _PACKET_BITS
        if raised > limit:
            raised = max(limit, self.bitrate_bps)
        self._set(raised)

    def lose(self, fraction: float, usual: float, delivered_bps: float | None, now: float) -> bool:
        """Follow the loss of an interval, 0 to 1. `usual` is what the path loses always. True if the rate falls."""
        self._is_held = fraction > max(LOW_LOSS, usual + _UNUSUAL_LOSS)
        if delivered_bps is None or fraction <= max(HIGH_LOSS, 2 * usual):
            return False
        sent_bps = delivered_bps / max(1 - fraction, 0.05)
        if self._is_inherent(fraction, sent_bps, now):
            return False
        self.decreased_at = now
        # Of what was sent: media that do not follow the estimate do not lower it again and again.
        self._set(min(self.bitrate_bps, sent_bps * (1 - (fraction if fraction > HEAVY else fraction / 2))))
        return True

    def is_settling(self, now: float) -> bool:
        """Whether what is reported may have been sent before the rate fell."""
        return now - self.decreased_at < _SETTLING_SECONDS + self._round_trip

    def _is_inherent(self, fraction: float, sent_bps: float, now: float) -> bool:
        """Whether high loss is the path's own: it is not lower than before, although clearly less is sent."""
        if now < self._inherent_until and fraction < 1.5 * self._inherent_loss:
            self._inherent_until = now + _INHERENT_SECONDS
            return True
        before_bps, before, at = self._lossy
        if now - at > _INHERENT_SECONDS or sent_bps > before_bps or fraction > MAX_INHERENT_LOSS:
            self._lossy = (sent_bps, fraction, now)
        elif sent_bps < 0.7 * before_bps and fraction > 0.7 * before:
            self._inherent_loss, self._inherent_until = fraction, now + _INHERENT_SECONDS
            return True
        return False

    def raise_to(self, bitrate_bps: float) -> None:
        """A probe has shown that the path carries so much."""
        self._full_bps = None
        self._set(max(self.bitrate_bps, bitrate_bps))

    def limit_to(self, bitrate_bps: float, now: float) -> None:
        """Fall to this bitrate, where the estimate is above it."""
        if bitrate_bps < self.bitrate_bps:
            self.decreased_at = now
            self._set(bitrate_bps)

    def _set(self, bitrate_bps: float) -> None:
        self.bitrate_bps = max(FLOOR_BPS, min(bitrate_bps, CEILING_BPS))
