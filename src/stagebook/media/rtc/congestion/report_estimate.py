"""Estimates the bandwidth to a peer without transport-wide feedback: by its REMB and its receiver reports.

REMB (draft-alvestrand-rmcat-remb-03) is the peer's own estimate, and a limit. Receiver reports say how many packets
were lost: above 15 % the estimate falls to what has arrived; below 2 % it grows again by 8 % a second, up to one and a
half times of what is sent (draft-ietf-rmcat-gcc-02 section 6).

Such a peer cannot be probed with padding. Whether more fits is found by sending it: a trial, which the caller
makes by sending a better layer. A trial that ends in loss, or in a lower REMB, is repeated after twice the time.
"""

from typing import Final

from stagebook.media.rtc.congestion.loss_window import LossWindow
from stagebook.media.rtc.congestion.rate_control import CEILING_BPS, FLOOR_BPS, HIGH_LOSS, LOW_LOSS

TRIAL_SECONDS: Final = 5.0
FIRST_TRIAL_WAIT_SECONDS: Final = 8.0
MAX_TRIAL_WAIT_SECONDS: Final = 60.0
MIN_REPORT_SECONDS: Final = 0.4
"""Reports that follow each other faster are taken together."""
_GROWTH_PER_SECOND = 1.08
_MAX_SHARE_OF_SENT = 1.5


class ReportEstimate:
    """The estimate for one connection."""

    def __init__(self) -> None:
        self.loss = 0.0
        """Of the last report, 0 to 1."""
        self.decreased_at = float("-inf")
        self._maximum_bps: int | None = None
        self._by_loss_bps: float | None = None
        self._losses = LossWindow()
        self._reported_at: float | None = None
        self._octets = 0
        self.trial_bps = 0
        """What a running trial sends; 0 without one."""
        self._trial_until = float("-inf")
        self._next_trial_at = float("-inf")
        self._trial_wait_seconds = FIRST_TRIAL_WAIT_SECONDS
        self._is_first_of_path = False
        """Whether the next report is the first since the path changed."""

    @property
    def bitrate_bps(self) -> int | None:
        """The estimate in bits per second; None without REMB and without loss so far."""
        known, by_loss_bps = self._maximum_bps, self._by_loss_bps
        if by_loss_bps is not None:
            known = int(by_loss_bps if known is None else min(known, by_loss_bps))
        return None if known is None else max(known, self.trial_bps)

    def receive_maximum(self, bitrate_bps: int, now: float) -> None:
        """Take a REMB of so many bits per second."""
        before = self._maximum_bps
        self._maximum_bps = max(FLOOR_BPS, min(bitrate_bps, CEILING_BPS))
        if before is not None and self._maximum_bps < 0.95 * before:
            self._fall(now)

    def receive_losses(self, received: int, lost: int, octets: int, now: float) -> None:
        """Take the counts of a receiver report since the last one. `octets` is what has been sent so far, in all."""
        if self._reported_at is None:
            self._reported_at, self._octets = now, octets
        if self._is_first_of_path:
            # What it says was lost on the former path.
            self._is_first_of_path = False
            self._reported_at, self._octets = now, octets
            return
        is_new = self._losses.add(received, lost, now)
        seconds = now - self._reported_at
        if not is_new or seconds < MIN_REPORT_SECONDS:
            return
        sent_bps = (octets - self._octets) * 8 / seconds
        self._reported_at, self._octets = now, octets
        self.loss = self._losses.fraction
        if self._losses.clear > max(HIGH_LOSS, 2 * self._losses.usual):
            known = sent_bps if self._by_loss_bps is None else min(self._by_loss_bps, sent_bps)
            self._by_loss_bps = max(FLOOR_BPS, min(known, sent_bps * (1 - self.loss)))
            self._fall(now)
        elif self.loss < LOW_LOSS and self._by_loss_bps is not None:
            grown = self._by_loss_bps * _GROWTH_PER_SECOND ** min(seconds, 5.0)
            self._by_loss_bps = max(self._by_loss_bps, min(grown, _MAX_SHARE_OF_SENT * sent_bps, CEILING_BPS))

    def change_path(self) -> None:
        """The peer is sent to over another path from now on."""
        self._losses = LossWindow()
        self.loss = 0.0
        self._is_first_of_path = True

    def may_try(self, bitrate_bps: int, now: float) -> bool:
        """Whether to try this bitrate: not too soon after the last trial, and without loss."""
        if now < self._next_trial_at or self.loss > LOW_LOSS or now - self.decreased_at < FIRST_TRIAL_WAIT_SECONDS:
            return False
        self.trial_bps, self._trial_until = bitrate_bps, now + TRIAL_SECONDS
        self._next_trial_at = now + self._trial_wait_seconds
        self._trial_wait_seconds = min(2 * self._trial_wait_seconds, MAX_TRIAL_WAIT_SECONDS)
        return True

    def handle_timers(self, now: float) -> int:
        """End a trial that has lasted. Called a few times a second. Returns what it has shown, in bits per second; 0
        without a trial that has just ended."""
        if not self.trial_bps or now < self._trial_until:
            return 0
        # It went well: what was sent without loss is what the path carries.
        shown_bps, self.trial_bps = self.trial_bps, 0
        if self._by_loss_bps is not None:
            self._by_loss_bps = max(self._by_loss_bps, float(shown_bps))
        self._trial_wait_seconds = FIRST_TRIAL_WAIT_SECONDS
        return shown_bps

    def end_trial(self, now: float) -> None:
        """The path is full: end a trial without success."""
        if self.trial_bps:
            self._fall(now)

    def _fall(self, now: float) -> None:
        self.decreased_at = now
        self.trial_bps = 0
