"""Pauses of encoders that send faster than their timestamps, or too many messages."""

from collections.abc import Sequence

import pytest

from stagebook.media.ingest.read_pacing import CountPace, TimestampPace


def pauses(pace: TimestampPace, messages: Sequence[tuple[float, float]]) -> list[float]:
    """Return the pause after each message, given as (timestamp in seconds, clock in seconds)."""
    return [pace.pause_seconds(round(timestamp * 1000), now=now) for timestamp, now in messages]


def test_a_stream_in_real_time_is_not_paused() -> None:
    assert not any(pauses(TimestampPace(max_ahead_seconds=2), [(second, 100 + second) for second in range(3_600)]))


def test_a_file_is_paused_until_it_is_within_the_limit() -> None:
    pace = TimestampPace(max_ahead_seconds=2)
    assert pauses(pace, [(0, 100), (1, 100), (2, 100), (2.5, 100), (3.5, 100)]) == pytest.approx([0, 0, 0, 0.5, 1.5])
    assert pauses(pace, [(3.5, 101.5)]) == pytest.approx([0], abs=0.01)


def test_a_slightly_fast_clock_is_not_paused_within_a_day() -> None:
    day = [(second * 1.0005, 100 + second) for second in range(24 * 3_600)]
    assert not any(pauses(TimestampPace(max_ahead_seconds=2), day))


def test_media_delayed_by_the_network_may_arrive_at_once() -> None:
    pace = TimestampPace(max_ahead_seconds=2)
    delayed = [(0, 100), (1, 109), *((float(second), 109) for second in range(2, 12))]
    assert not any(pauses(pace, delayed))


def test_the_credit_for_late_media_is_limited() -> None:
    pace = TimestampPace(max_ahead_seconds=2)
    pauses(pace, [(0, 100), (1, 1_000)])
    assert pauses(pace, [(1 + second, 1_000) for second in range(1, 14)])[-1] == pytest.approx(1)


@pytest.mark.parametrize("jump", [1_000.0, -1_000.0])
def test_a_jump_of_the_timestamps_is_not_paused(jump: float) -> None:
    pace = TimestampPace(max_ahead_seconds=2)
    assert pauses(pace, [(2_000, 100), (2_000 + jump, 100), (2_001 + jump, 100)]) == [0, 0, 0]


def test_one_second_of_events_may_come_at_once() -> None:
    rate = CountPace(max_per_second=1_000)
    assert not any(rate.pause_seconds(now=100) for _ in range(999))
    assert [rate.pause_seconds(now=100) for _ in range(501)][-1] == pytest.approx(0.5)
    assert rate.pause_seconds(now=101) == 0
    assert CountPace(max_per_second=1_000).pause_seconds(now=100, events=1_500) == pytest.approx(0.5)
