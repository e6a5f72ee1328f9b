"""The bitrate that a publisher is allowed, from loss and queueing delay."""

import pytest

from stagebook.media.rtc.rtp.bandwidth_estimate import FLOOR_BPS, MAX_DRIFT, BandwidthEstimate, QueueDelay

CEILING_BPS = 8_500_000


def test_a_new_publisher_is_allowed_the_ceiling() -> None:
    assert BandwidthEstimate(ceiling_bps=CEILING_BPS).bitrate_bps == CEILING_BPS


def update(
    estimate: BandwidthEstimate, arrived_bps: int, *, lost: float = 0.0, queue_seconds: float = 0.0, packets: int = 200
) -> int:
    """Add an interval with this share of packets that were not repaired."""
    return estimate.update(
        arrived_bps=arrived_bps, expected=packets, unrepaired=round(lost * packets), queue_seconds=queue_seconds
    )


def test_heavy_loss_reduces_the_rate_to_what_the_path_carries() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    sent, rates = 2_500_000, []
    for _ in range(10):
        lost = max(0.0, 1 - 1_000_000 / sent)
        rates.append(update(estimate, min(sent, 1_000_000), lost=lost))
        sent = min(2_500_000, rates[-1])
    assert rates[1] < 1_300_000
    assert all(1_000_000 <= rate <= 1_200_000 for rate in rates[3:])


@pytest.mark.parametrize("lost", [0.03, 0.10])
def test_moderate_loss_keeps_the_rate(lost: float) -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    before = update(estimate, 2_000_000, lost=0.2)
    for _ in range(6):
        assert update(estimate, 1_000_000, lost=lost) == before


def test_loss_does_not_reduce_the_rate_of_a_sender_with_little_to_send_below_what_it_sends() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    sent = 300_000
    for _ in range(30):
        sent = min(300_000, update(estimate, sent, lost=0.12))
    assert sent == 300_000


def test_the_loss_of_few_packets_says_nothing() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    assert update(estimate, 20_000, lost=0.5, packets=4) == CEILING_BPS


def test_one_bad_second_among_good_ones_does_not_reduce_the_rate() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    update(estimate, 2_000_000)
    update(estimate, 2_000_000)
    assert update(estimate, 2_000_000, lost=0.2) == CEILING_BPS


def test_without_loss_the_rate_grows_to_the_ceiling() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    update(estimate, 1_000_000, lost=0.5)
    rates = [update(estimate, 700_000) for _ in range(60)]
    assert rates == sorted(rates)
    assert rates[-1] == CEILING_BPS


def test_a_growing_queue_reduces_the_rate_and_a_draining_one_keeps_it() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    assert update(estimate, 1_000_000, queue_seconds=0.2) == 850_000
    assert update(estimate, 1_000_000, queue_seconds=0.3) == 722_500
    assert update(estimate, 1_000_000, queue_seconds=0.2) == 722_500
    assert update(estimate, 1_000_000) > 722_500


def test_the_rate_never_falls_below_the_floor() -> None:
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    for _ in range(20):
        update(estimate, 0, lost=0.9)
    assert estimate.bitrate_bps == FLOOR_BPS


def test_a_ceiling_below_the_floor_is_kept() -> None:
    estimate = BandwidthEstimate(ceiling_bps=50_000)
    assert update(estimate, 0, lost=0.9) == 50_000


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
            queue.add_packet(timestamp=number * 3000, now=number / 30 + second * 0.3)
        delays.append(queue.take())
    # A part of the growth may be the clock's.
    expected = [0.0, 0.3, 0.6]
    assert delays == pytest.approx(expected, abs=2.6 * MAX_DRIFT)


@pytest.mark.parametrize("clock", [0.95, 0.98, 0.99, 1.02, 1.05])
def test_a_clock_that_is_slow_or_fast_is_no_queue(clock: float) -> None:
    queue = QueueDelay(clock_rate=90_000)
    estimate = BandwidthEstimate(ceiling_bps=CEILING_BPS)
    for second in range(60):
        for number in range(second * 30, second * 30 + 30):
            # The packets wait for up to 4 ms.
            queue.add_packet(timestamp=round(number * 3000 * clock), now=number / 30 + number % 5 / 1000)
        assert update(estimate, 2_000_000, queue_seconds=queue.take()) == CEILING_BPS


def test_a_queue_on_the_path_of_a_sender_with_a_slow_clock_is_noticed() -> None:
    queue = QueueDelay(clock_rate=90_000)
    delays = []
    for second in range(30):
        late = max(0, second - 25) * 0.2
        for number in range(second * 30, second * 30 + 30):
            queue.add_packet(timestamp=round(number * 3000 * 0.98), now=number / 30 + late)
        delays.append(queue.take())
    assert max(delays[:26]) < 0.01
    assert delays[-1] > 0.6


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
