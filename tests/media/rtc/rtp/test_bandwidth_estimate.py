"""The bitrate that a publisher is allowed, from loss and queueing delay."""

import pytest

from stagebook.media.rtc.rtp.bandwidth_estimate import FLOOR_BPS, BandwidthEstimate, QueueDelay

CEILING_BPS = 8_500_000


def test_a_new_publisher_is_allowed_the_ceiling() -> None:
    assert BandwidthEstimate(ceiling_bps=CEILING_BPS).bitrate_bps == CEILING_BPS


def test_heavy_loss_reduces_the_rate_below_what_arrived() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    assert estimate.update(arrived_bps=2_000_000, lost_fraction=0.2, queue_seconds=0.0) == 1_800_000


@pytest.mark.parametrize("lost", [0.03, 0.10])
def test_moderate_loss_keeps_the_rate(lost: float) -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    estimate.update(arrived_bps=2_000_000, lost_fraction=0.2, queue_seconds=0.0)
    assert estimate.update(arrived_bps=1_000_000, lost_fraction=lost, queue_seconds=0.0) == 1_800_000


def test_without_loss_the_rate_grows_to_the_ceiling() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    estimate.update(arrived_bps=1_000_000, lost_fraction=0.5, queue_seconds=0.0)
    rates = [estimate.update(arrived_bps=700_000, lost_fraction=0.0, queue_seconds=0.0) for _ in range(60)]
    assert rates == sorted(rates)
    assert rates[-1] == CEILING_BPS


def test_a_growing_queue_reduces_the_rate_and_a_draining_one_keeps_it() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    assert estimate.update(arrived_bps=1_000_000, lost_fraction=0.0, queue_seconds=0.2) == 850_000
    assert estimate.update(arrived_bps=1_000_000, lost_fraction=0.0, queue_seconds=0.3) == 722_500
    assert estimate.update(arrived_bps=1_000_000, lost_fraction=0.0, queue_seconds=0.2) == 722_500
    assert estimate.update(arrived_bps=1_000_000, lost_fraction=0.0, queue_seconds=0.0) > 722_500


def test_the_rate_never_falls_below_the_floor() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    for _ in range(20):
        estimate.update(arrived_bps=0, lost_fraction=0.9, queue_seconds=0.0)
    assert estimate.bitrate_bps == FLOOR_BPS


def test_a_ceiling_below_the_floor_is_kept() -> None:
    estimate = BandwidthEstimate(ceiling_bps=50_000)
    assert estimate.update(arrived_bps=0, lost_fraction=0.9, queue_seconds=0.0) == 50_000


def test_evenly_spaced_packets_have_no_queueing_delay() -> None:
    queue = QueueDelay(clock_rate=90_000)
    for number in range(30):
        queue.add_packet(timestamp=(0xFFFFF000 + number * 3000) & 0xFFFFFFFF, now=100 + number / 30)
    assert queue.take() == pytest.approx(0.0, abs=1e-6)


def test_packets_that_arrive_later_and_later_have_a_growing_delay() -> None:
    queue = QueueDelay(clock_rate=90_000)
    delays = []
    for second in range(3):
        for number in range(second * 30, second * 30 + 30):
            queue.add_packet(timestamp=number * 3000, now=number / 30 + second * 0.1)
        delays.append(queue.take())
    assert delays == pytest.approx([0.0, 0.1, 0.2], abs=1e-6)


def test_packets_of_a_keyframe_may_be_spread_over_time() -> None:
    queue = QueueDelay(clock_rate=90_000)
    queue.add_packet(timestamp=0, now=0.0)
    queue.take()
    for number in range(50):
        queue.add_packet(timestamp=3000, now=1 / 30 + number / 100)
    assert queue.take() == pytest.approx(0.0, abs=1e-6)


def test_a_jump_of_the_senders_clock_leaves_the_baseline_after_a_while() -> None:
    queue = QueueDelay(clock_rate=90_000)
    delays = []
    for second in range(30):
        queue.add_packet(timestamp=second * 90_000, now=second + (0.5 if second >= 5 else 0.0))
        delays.append(queue.take())
    assert delays[5] == pytest.approx(0.5)
    assert delays[-1] == pytest.approx(0.0, abs=1e-6)


def test_an_interval_without_packets_has_no_delay() -> None:
    assert QueueDelay(clock_rate=90_000).take() == 0.0
