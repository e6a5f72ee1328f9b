"""The wait for reordered packets and for retransmissions."""

import pytest

from stagebook.media.rtc.rtp.path_timing import (
    FIRST_RETRY_SECONDS,
    MAX_REORDERING_SECONDS,
    MAX_RETRY_SECONDS,
    MIN_RETRY_SECONDS,
    PathTiming,
)


def test_there_is_no_wait_without_reordering() -> None:
    timing = PathTiming()
    timing.add_reordering(0.0)
    assert timing.reordering_seconds == 0.0


def test_one_stray_packet_does_not_delay_repairs() -> None:
    timing = PathTiming()
    for late_seconds in (0.0, 0.0, 0.08, 0.0):
        timing.add_reordering(late_seconds)
    assert timing.reordering_seconds == 0.0


def test_the_wait_ends_when_packets_are_lost_instead_of_reordered() -> None:
    timing = PathTiming()
    for late_seconds in [0.02] * 40 + [0.0] * 40:
        timing.add_reordering(late_seconds)
    assert timing.reordering_seconds == 0.0


@pytest.mark.parametrize("late_seconds", [0.001, 0.025, 0.09, 0.1])
def test_the_wait_is_longer_than_the_reordering_and_bounded(late_seconds: float) -> None:
    timing = PathTiming()
    timing.add_reordering(late_seconds)
    assert late_seconds <= timing.reordering_seconds <= MAX_REORDERING_SECONDS


def test_packets_that_no_wait_would_spare_a_request_cause_none() -> None:
    timing = PathTiming()
    for _ in range(10):
        timing.add_reordering(2 * MAX_REORDERING_SECONDS)
    assert timing.reordering_seconds == 0.0


@pytest.mark.parametrize("round_trip_seconds", [0.0, 0.05, 0.3, 60.0])
def test_a_retry_waits_for_a_round_trip_within_bounds(round_trip_seconds: float) -> None:
    timing = PathTiming()
    assert timing.retry_seconds == FIRST_RETRY_SECONDS
    for _ in range(30):
        timing.add_round_trip(round_trip_seconds)
    assert MIN_RETRY_SECONDS <= timing.retry_seconds <= MAX_RETRY_SECONDS
    assert timing.retry_seconds == MAX_RETRY_SECONDS or timing.retry_seconds > round_trip_seconds
    assert timing.retry_seconds <= round_trip_seconds + 0.05
