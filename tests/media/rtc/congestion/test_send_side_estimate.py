"""The estimate of a sender over simulated paths, in virtual time. Each path is made from a seed."""

import pytest

from stagebook.media.rtc.congestion.rate_control import START_BPS
from tests.media.rtc.congestion.simulated_path import SimulatedPath, SimulatedSender

LAYERS = (150_000, 500_000, 1_700_000)
START = 100.0
"""The time at which each simulation begins."""


def mean_bps(path: SimulatedPath, sender: SimulatedSender, seconds: float) -> float:
    """Run for some seconds; return the bitrate that arrived in them."""
    before = sender.arrived_bytes
    path.run_until(path.now + seconds)
    return (sender.arrived_bytes - before) * 8 / seconds


@pytest.mark.parametrize("rate_bps", [300_000, 1_000_000, 3_000_000])
def test_the_estimate_converges_to_what_the_path_carries(rate_bps: int) -> None:
    path = SimulatedPath(rate_bps)
    sender = SimulatedSender(path)
    path.run_until(START + 10)
    assert 0.85 * rate_bps < mean_bps(path, sender, 12) <= rate_bps
    assert sender.bandwidth_bps < 1.15 * rate_bps


def test_a_large_round_trip_with_jitter_delays_it_only() -> None:
    path = SimulatedPath(2_000_000, delay_seconds=0.1, jitter_seconds=0.03)
    sender = SimulatedSender(path)
    path.run_until(START + 10)
    assert mean_bps(path, sender, 12) > 0.85 * 2_000_000


def test_it_falls_within_half_a_second_when_the_path_shrinks_to_a_fifth() -> None:
    path = SimulatedPath(3_000_000)
    sender = SimulatedSender(path, bitrates=LAYERS, keyframe_seconds=4)
    path.run_until(START + 10)
    assert sender.bitrate_bps == 1_700_000
    path.set_rate(600_000)
    path.run_until(START + 10.5)
    assert sender.bandwidth_bps < 600_000
    assert sender.bitrate_bps <= 500_000


def test_it_recovers_within_ten_seconds_by_probes() -> None:
    path = SimulatedPath(600_000, queue_seconds=1.0)
    sender = SimulatedSender(path, bitrates=LAYERS, keyframe_seconds=4)
    path.run_until(START + 30)
    assert sender.bitrate_bps <= 500_000
    path.set_rate(3_000_000)
    path.run_until(START + 40)
    assert sender.bitrate_bps == 1_700_000


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("asleep_seconds", [0.03, 0.06])
def test_it_recovers_as_well_where_the_receiver_is_often_late(asleep_seconds: float, seed: int) -> None:
    path = SimulatedPath(600_000, queue_seconds=0.3, seed=seed)
    sender = SimulatedSender(path, bitrates=LAYERS, keyframe_seconds=4, asleep_seconds=asleep_seconds, seed=seed)
    path.run_until(START + 20)
    assert sender.bitrate_bps <= 500_000
    path.set_rate(3_000_000)
    path.run_until(START + 30)
    assert max(bitrate for at, bitrate in sender.switches if at > START + 20) == 1_700_000


@pytest.mark.parametrize("seed", [1, 4, 5])
def test_jitter_does_not_make_its_probes_fail(seed: int) -> None:
    path = SimulatedPath(20_000_000, delay_seconds=0.1, jitter_seconds=0.06, seed=seed)
    sender = SimulatedSender(path, bitrates=LAYERS, keyframe_seconds=4)
    path.run_until(START + 3)
    sender.estimate.rates.limit_to(400_000, path.now)
    path.run_until(START + 5)
    assert sender.bitrate_bps == LAYERS[-1]


@pytest.mark.parametrize("seed", range(3))
def test_bursts_and_reports_that_are_late_do_not_show_a_wide_path(seed: int) -> None:
    path = SimulatedPath(1_000_000, queue_seconds=0.3, seed=seed)
    sender = SimulatedSender(path, bitrates=LAYERS, keyframe_seconds=4, asleep_seconds=0.06, seed=seed)
    path.run_until(START + 40)
    assert all(bitrate < LAYERS[-1] for at, bitrate in sender.switches if at > START + 5)


def test_a_slow_viewer_costs_its_line_no_more_than_it_carries() -> None:
    path = SimulatedPath(1_000_000)
    sender = SimulatedSender(path, bitrates=(150_000, 500_000, 2_500_000), keyframe_seconds=4)
    path.run_until(START + 25)
    assert path.offered_bytes * 8 / 25 < 1_050_000
    first = sender.switches[0]
    assert first[0] < START + 1
    assert first[1] == 500_000
    # The upper layer is tried by probes alone.
    assert all(bitrate < 2_500_000 for _, bitrate in sender.switches)


def test_failed_probes_are_few_and_small() -> None:
    path = SimulatedPath(600_000)
    sender = SimulatedSender(path, bitrates=LAYERS)
    path.run_until(START + 20)
    before = sender.estimate.probe.padding_bytes
    path.run_until(START + 80)
    assert 0 < (sender.estimate.probe.padding_bytes - before) * 8 / 60 < 0.06 * 600_000


@pytest.mark.parametrize(
    "path",
    [
        SimulatedPath(20_000_000, loss=0.05),
        SimulatedPath(20_000_000, jitter_seconds=0.03),
        SimulatedPath(20_000_000, delay_seconds=0.1, jitter_seconds=0.03),
        SimulatedPath(20_000_000, loss=0.05, jitter_seconds=0.03, delay_seconds=0.1),
        SimulatedPath(2_500_000, delay_seconds=0.1),
    ],
    ids=["loss", "jitter", "round trip and jitter", "all", "round trip and bottleneck"],
)
def test_what_is_no_congestion_leaves_the_best_layer(path: SimulatedPath) -> None:
    sender = SimulatedSender(path, bitrates=LAYERS, keyframe_seconds=4)
    path.run_until(START + 30)
    assert sender.switches == []


def test_random_loss_does_not_keep_it_from_growing() -> None:
    path = SimulatedPath(2_000_000, loss=0.05)
    sender = SimulatedSender(path)
    path.run_until(START + 20)
    assert mean_bps(path, sender, 10) > 0.8 * 2_000_000


def test_two_senders_share_a_path() -> None:
    path = SimulatedPath(3_000_000)
    first = SimulatedSender(path)
    path.run_until(START + 5)
    second = SimulatedSender(path)
    path.run_until(START + 15)
    before = second.arrived_bytes
    share = mean_bps(path, first, 20) / 3_000_000
    other = (second.arrived_bytes - before) * 8 / 20 / 3_000_000
    assert 0.3 < share < 0.7
    assert 0.3 < other < 0.7


def test_a_queue_that_is_full_and_does_not_grow_is_found() -> None:
    path = SimulatedPath(1_000_000, queue_seconds=0.3)
    sender = SimulatedSender(path)
    path.run_until(START + 5)
    sender.longest_delay_seconds = 0.0
    path.run_until(START + 20)
    assert sender.longest_delay_seconds < 0.2


def test_who_sends_little_keeps_the_estimate_and_does_not_raise_it_far() -> None:
    path = SimulatedPath(20_000_000)
    sender = SimulatedSender(path, bitrates=(150_000,))
    path.run_until(START + 60)
    assert sender.bandwidth_bps == START_BPS


def test_the_estimate_falls_while_nothing_is_reported() -> None:
    path = SimulatedPath(20_000_000)
    sender = SimulatedSender(path, bitrates=LAYERS)
    path.run_until(START + 5)
    path.queue_bytes = -1_000_000
    path.run_until(START + 5.5)
    path._loss = 1.0
    path.run_until(START + 10)
    assert sender.bandwidth_bps < 0.2 * START_BPS


def test_a_path_that_was_dead_is_used_as_before() -> None:
    path = SimulatedPath(3_000_000)
    sender = SimulatedSender(path, bitrates=LAYERS, keyframe_seconds=4)
    path.run_until(START + 10)
    before_bps = sender.bandwidth_bps
    path.is_dead = True
    path.run_until(START + 20)
    assert sender.bandwidth_bps == before_bps / 8
    assert sender.estimate.known_bps == int(before_bps)
    path.is_dead = False
    path.run_until(START + 20.5)
    assert sender.bandwidth_bps >= 0.95 * before_bps
    assert sender.bitrate_bps == LAYERS[-1]
    path.run_until(START + 30)
    assert sender.bitrate_bps == LAYERS[-1]


def test_nothing_falls_while_nothing_is_sent() -> None:
    path = SimulatedPath(20_000_000)
    sender = SimulatedSender(path, bitrates=LAYERS)
    path.run_until(START + 5)
    path.is_dead = True
    path.run_until(START + 5.1)
    sent, estimate = path.offered_bytes, sender.estimate
    for tick in range(40):
        estimate.handle_timers(START + 5.1 + tick / 4)
    assert path.offered_bytes == sent
    assert sender.bandwidth_bps >= START_BPS / 2


def test_packets_that_have_waited_for_long_show_a_queue_and_no_dead_path() -> None:
    path = SimulatedPath(20_000_000)
    sender = SimulatedSender(path, bitrates=LAYERS)
    path.run_until(START + 5)
    path.stall_until(START + 9)
    path.run_until(START + 8.9)
    assert sender.bandwidth_bps == START_BPS / 8
    path.run_until(START + 9.1)
    assert sender.bandwidth_bps < START_BPS / 4


def test_what_was_lost_on_a_former_path_lowers_nothing() -> None:
    path = SimulatedPath(3_000_000)
    sender = SimulatedSender(path, bitrates=LAYERS, keyframe_seconds=4)
    path.run_until(START + 10)
    before_bps = sender.bandwidth_bps
    path.is_dead = True
    path.run_until(START + 10.9)
    path.is_dead = False
    sender.estimate.change_path()
    path.run_until(START + 12)
    assert sender.bandwidth_bps >= 0.95 * before_bps
    assert sender.bitrate_bps == LAYERS[-1]


def test_media_that_do_not_follow_the_estimate_do_not_lower_it_again_and_again() -> None:
    path = SimulatedPath(1_000_000, queue_seconds=0.3)
    sender = SimulatedSender(path, bitrates=(2_500_000,), keyframe_seconds=4)
    path.run_until(START + 20)
    assert 0.7 * 1_000_000 < sender.bandwidth_bps < 1_100_000
    assert sender.estimate.losses.fraction > 0.3


def test_feedback_of_packets_that_were_never_sent_is_counted_alone() -> None:
    path = SimulatedPath(20_000_000)
    sender = SimulatedSender(path, bitrates=LAYERS)
    estimate = sender.estimate
    estimate.receive(b"\0\x05\0\1\0\0\1\0\x20\1\1", 100.0)
    estimate.receive(b"short", 100.0)
    assert (estimate.feedbacks, estimate.bad_feedbacks, estimate.bitrate_bps) == (0, 2, None)
