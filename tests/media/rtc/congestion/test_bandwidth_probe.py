"""Probes of paths, and what their packets show."""

import pytest

from stagebook.media.rtc.congestion.bandwidth_probe import (
    FIRST_WAIT_SECONDS,
    MAX_PROBE_BPS,
    MAX_STEP,
    RETRY_SECONDS,
    BandwidthProbe,
)


class Probed:
    """A probe whose packets arrive after the delays that a test gives."""

    def __init__(self, wanted_bps: int, *, estimate_bps: float, late_seconds: float = 0.0) -> None:
        self.probe = BandwidthProbe()
        assert self.probe.request(wanted_bps, 0, 100.0, estimate_bps=estimate_bps)
        self.now, self.sent_at, self.sizes = 100.0, list[float](), list[int]()
        while True:
            size_bytes, seconds = self.probe.next_burst()
            if not size_bytes:
                break
            self.sent_at.append(self.now)
            self.sizes.append(size_bytes)
            self.now += seconds + late_seconds
        self.probe.sent(len(self.sent_at), self.now)

    def shown_bps(self, delays: list[float | None]) -> float | None:
        """What the probe shows if its packets arrive with these delays; None for a lost one."""
        for number, delay in enumerate(delays):
            self.probe.add(number, self.sent_at[number], delay, self.sizes[number])
        return self.probe.result(len(delays), self.now)

    def may_repeat(self, after_seconds: float) -> bool:
        """Whether another probe may begin so long after this one."""
        return self.probe.request(1000, 6, self.now + after_seconds, estimate_bps=1_000_000)


@pytest.mark.parametrize("wanted_bps", [500_000, 10_300_000, 50_000_000])
def test_what_a_path_carries_is_shown_up_to_the_limit(wanted_bps: int) -> None:
    probed = Probed(wanted_bps, estimate_bps=wanted_bps)
    shown_bps = probed.shown_bps([0.0] * 6)
    assert shown_bps is not None
    assert shown_bps > min(wanted_bps, 0.9 * MAX_PROBE_BPS)
    assert probed.probe.padding_bytes <= 90_000


def test_a_probe_goes_one_step_above_the_estimate() -> None:
    shown_bps = Probed(3_000_000, estimate_bps=1_000_000).shown_bps([0.0] * 6)
    assert shown_bps == pytest.approx(MAX_STEP * 1_000_000 * 1.2)


def test_a_queue_that_grows_shows_a_narrow_path() -> None:
    probed = Probed(1_400_000, estimate_bps=1_000_000)
    assert probed.shown_bps([0.0, 0.007, 0.014, 0.021, 0.028, 0.034]) is None
    assert not probed.may_repeat(FIRST_WAIT_SECONDS / 2)


def test_a_receiver_that_is_late_for_most_packets_hides_nothing() -> None:
    probed = Probed(1_400_000, estimate_bps=1_000_000)
    assert probed.shown_bps([0.05, 0.04, 0.03, 0.06, 0.05, 0.002]) is not None


def test_packets_that_were_late_from_the_beginning_show_nothing() -> None:
    probed = Probed(1_400_000, estimate_bps=1_000_000)
    assert probed.shown_bps([0.1, 0.09, 0.08, 0.07, 0.06, 0.05]) is None
    again = Probed(1_400_000, estimate_bps=1_000_000)
    again.shown_bps([0.1, 0.09, 0.08, 0.07, 0.06, 0.05])
    assert again.may_repeat(RETRY_SECONDS)


def test_lost_packets_show_a_path_that_is_full() -> None:
    assert Probed(1_400_000, estimate_bps=1_000_000).shown_bps([0.0, 0.0, None, 0.0, None, 0.0]) is None


def test_bursts_that_were_sent_late_show_nothing() -> None:
    probed = Probed(1_400_000, estimate_bps=1_000_000, late_seconds=0.01)
    assert probed.shown_bps([0.0] * 6) is None
    assert probed.may_repeat(RETRY_SECONDS)
