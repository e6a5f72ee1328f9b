"""How much can be sent to one viewer: what the choice of its layer and the budgets of its retransmissions go by.

A viewer that reports by transport-wide feedback has a `SendSideEstimate`, any other one a `ReportEstimate`. The
bitrates are those of all that is sent to the viewer: audio, video, retransmissions and padding.
"""

from collections.abc import Callable
from typing import Final

from stagebook.media.rtc.congestion.report_estimate import FIRST_TRIAL_WAIT_SECONDS, ReportEstimate
from stagebook.media.rtc.congestion.send_side_estimate import SendSideEstimate

_CLEAR_FALL = 0.97
"""A smaller fall is not told."""
FULL_QUEUE_SECONDS: Final = 0.08
FULL_LOSS: Final = 0.05
"""A path with a longer queue or a higher loss is full. Jitter looks like a queue of some 30 ms."""
CONGESTED_SECONDS: Final = 2.0
"""How long a viewer counts as congested after its estimate has fallen."""


class ViewerBandwidth:
    """The estimate for one viewer's connection."""

    def __init__(self, *, has_transport_feedback: bool = False) -> None:
        self.send_side = SendSideEstimate() if has_transport_feedback else None
        """None for a viewer without transport-wide feedback."""
        self.reports = ReportEstimate()
        self.round_trip_seconds: float | None = None
        """By the viewer's receiver reports; None before the first that answers a sender report."""
        self.on_estimate_fell: Callable[[float], None] | None = None
        """Called with the time when the estimate has fallen."""
        self.start_probe: Callable[[float], None] | None = None
        """Called with the time when a probe is to be sent: bursts by `send_side.probe.next_burst`."""
        self._told_bps: int | None = None

    @property
    def estimate_bps(self) -> int | None:
        """What the path carries, in bits per second; None while the viewer has reported nothing to estimate it by."""
        own = None if self.send_side is None else self.send_side.bitrate_bps
        return self.reports.bitrate_bps if own is None else max(own, self.reports.trial_bps)

    @property
    def known_bps(self) -> int | None:
        """As `estimate_bps`; while the viewer is silent, what was estimated before. A publisher is limited by this."""
        known = None if self.send_side is None else self.send_side.known_bps
        return self.estimate_bps if known is None else max(known, self.reports.trial_bps)

    @property
    def loss(self) -> float:
        """The share of packets that were lost in the last half second or report, 0 to 1."""
        if self.send_side is not None and self.send_side.feedbacks:
            return self.send_side.losses.fraction
        return self.reports.loss

    @property
    def sent_bps(self) -> float | None:
        """What was sent in the last second, in bits per second, as far as it is reported; None if unknown."""
        return None if self.send_side is None else self.send_side.sending.bitrate_bps()

    @property
    def waiting_seconds(self) -> float | None:
        """How long an answer to a request takes: the round trip, with what waits in the queue of the path."""
        if self.send_side is None:
            return self.round_trip_seconds
        known = self.send_side.round_trip_seconds if self.round_trip_seconds is None else self.round_trip_seconds
        return None if known is None else known + self.send_side.detector.queue_seconds

    @property
    def is_full(self) -> bool:
        """Whether packets wait in a queue of the path, or are lost."""
        queue_seconds = 0.0 if self.send_side is None else self.send_side.detector.queue_seconds
        return queue_seconds > FULL_QUEUE_SECONDS or self.loss > FULL_LOSS

    def may_raise(self, bitrate_bps: int, now: float) -> bool:
        """Whether so much can be sent in all, in bits per second. Call it again while it is False and more is wanted:
        the first calls begin to probe whether the path carries it. True without an estimate.

        A viewer that cannot be probed, because it has no RTX for the padding, is sent more on trial. Otherwise the
        estimate, which grows only with what arrives, would never permit a video again that has paused.
        """
        estimate_bps = self.estimate_bps
        if estimate_bps is None or bitrate_bps <= estimate_bps:
            return True
        send_side = self.send_side
        if send_side is None or not send_side.feedbacks or self.start_probe is None:
            fell_at = float("-inf") if send_side is None else send_side.rates.decreased_at
            return now - fell_at >= FIRST_TRIAL_WAIT_SECONDS and self.reports.may_try(bitrate_bps, now)
        if send_side.probe.request(bitrate_bps, send_side.history.next_number, now, estimate_bps=estimate_bps):
            self.start_probe(now)
        return False

    def is_congested(self, now: float) -> bool:
        """Whether the estimate has fallen in the last CONGESTED_SECONDS."""
        own = float("-inf") if self.send_side is None else self.send_side.rates.decreased_at
        return now - max(own, self.reports.decreased_at) < CONGESTED_SECONDS

    # What the viewer reports

    def receive_feedback(self, body: bytes, now: float) -> None:
        """Take a message of transport-wide feedback, without its SSRCs. It is ignored unless it was negotiated."""
        if self.send_side is not None:
            self.send_side.receive(body, now)
            self._follow_trial(self.send_side, now)
            self._tell(now)

    def receive_maximum(self, bitrate_bps: int, now: float) -> None:
        """Take a REMB of so many bits per second."""
        self.reports.receive_maximum(bitrate_bps, now)
        self._tell(now)

    def receive_losses(self, received: int, lost: int, octets: int, now: float) -> None:
        """Take the counts of receiver reports since the last ones. `octets` is what has been sent so far, in all."""
        self.reports.receive_losses(received, lost, octets, now)
        self._tell(now)

    def receive_round_trip(self, seconds: float) -> None:
        """Take a round-trip time that a receiver report tells (RFC 3550 section 6.4.1)."""
        known = self.round_trip_seconds
        self.round_trip_seconds = seconds if known is None else known + 0.25 * (seconds - known)
        if self.send_side is not None:
            self.send_side.rates.round_trip_seconds = self.round_trip_seconds

    def change_path(self) -> None:
        """The viewer is sent to over another path from now on: measure anew, from the known estimate on."""
        self.round_trip_seconds = None
        self.reports.change_path()
        if self.send_side is not None:
            self.send_side.change_path()

    def handle_timers(self, now: float) -> None:
        """Lower the estimate of a viewer that is silent, and end trials. Called a few times a second."""
        if self.send_side is not None:
            self.send_side.handle_timers(now)
            self._follow_trial(self.send_side, now)
        shown_bps = self.reports.handle_timers(now)
        if shown_bps and self.send_side is not None:
            self.send_side.rates.raise_to(shown_bps)
        self._tell(now)

    def _follow_trial(self, send_side: SendSideEstimate, now: float) -> None:
        """End a trial with the first sign that the path is full."""
        if send_side.rates.decreased_at == now:
            self.reports.end_trial(now)

    def _tell(self, now: float) -> None:
        """Tell of an estimate that has fallen since the highest one that was told, or could have been."""
        estimate_bps, told_bps = self.estimate_bps, self._told_bps
        if estimate_bps is None:
            return
        if told_bps is None or estimate_bps >= told_bps * _CLEAR_FALL:
            self._told_bps = estimate_bps if told_bps is None else max(told_bps, estimate_bps)
            return
        self._told_bps = estimate_bps
        if self.on_estimate_fell is not None:
            self.on_estimate_fell(now)
