"""The bandwidth of a viewer with transport-wide feedback that cannot be sent padding: it has no RTX."""

from typing import Final

from stagebook.media.rtc.congestion.report_estimate import FIRST_TRIAL_WAIT_SECONDS, TRIAL_SECONDS
from stagebook.media.rtc.congestion.viewer_bandwidth import ViewerBandwidth
from tests.media.rtc.congestion.feedback_writer import write_arrivals

AUDIO_BPS: Final = 48_000
VIDEO_BPS: Final = 1_500_000
STEP_SECONDS: Final = 0.05
PACKETS: Final = 4


class Watching:
    """A viewer whose line has recovered after its estimate fell to little more than the audio takes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.bandwidth = ViewerBandwidth(has_transport_feedback=True)
        self.send_side = self.bandwidth.send_side
        assert self.send_side is not None
        self.run(1, AUDIO_BPS)
        self.send_side.rates.limit_to(100_000, self.now)
        self.run(FIRST_TRIAL_WAIT_SECONDS - 1, AUDIO_BPS)
        assert not self.bandwidth.may_raise(VIDEO_BPS, self.now)
        self.run(2, AUDIO_BPS)

    def run(self, seconds: float, bitrate_bps: int, *, queue_seconds: float = 0.0) -> None:
        """Send so much, which all arrives. By the end the line delays it by `queue_seconds`."""
        assert self.send_side is not None
        history = self.send_side.history
        steps = round(seconds / STEP_SECONDS)
        for step in range(steps):
            self.now += STEP_SECONDS
            first = history.take(PACKETS)
            history.add(first, [int(bitrate_bps * STEP_SECONDS / 8 / PACKETS)] * PACKETS, self.now)
            tick = round((self.now + queue_seconds * step / steps) * 4000)
            self.bandwidth.receive_feedback(write_arrivals(first, [tick] * PACKETS), self.now)
            self.bandwidth.handle_timers(self.now)


def test_more_is_tried_and_kept_if_the_line_carries_it() -> None:
    watching = Watching()
    bandwidth = watching.bandwidth
    assert (bandwidth.estimate_bps or 0) < 2 * AUDIO_BPS + 20_000
    assert bandwidth.may_raise(VIDEO_BPS, watching.now)
    assert bandwidth.estimate_bps == VIDEO_BPS
    watching.run(TRIAL_SECONDS + 1, VIDEO_BPS)
    assert (bandwidth.estimate_bps or 0) >= VIDEO_BPS


def test_a_trial_ends_when_a_queue_grows() -> None:
    watching = Watching()
    bandwidth = watching.bandwidth
    fallen: list[float] = []
    bandwidth.on_estimate_fell = fallen.append
    assert bandwidth.may_raise(VIDEO_BPS, watching.now)
    watching.run(1, VIDEO_BPS, queue_seconds=0.5)
    assert (bandwidth.estimate_bps or 0) <= 200_000
    assert fallen
    assert not bandwidth.may_raise(VIDEO_BPS, watching.now)
