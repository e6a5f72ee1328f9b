"""An encoder is held to the speed of its own timestamps, and to a number of messages."""

from collections.abc import Sequence

import pytest

from stagebook.media.ingest.read_pacing import MAX_MESSAGES_PER_SECOND, MessageRate, Pace


def pauses(pace: Pace, messages: Sequence[tuple[float, float]]) -> list[float]:
    """The pauses after messages of (seconds of their timestamp, seconds that had passed)."""
    return [pace.pause_seconds(round(timestamp * 1000), now=now) for timestamp, now in messages]


def test_a_stream_at_its_own_speed_never_waits() -> None:
    assert not any(pauses(Pace(max_ahead_seconds=2), [(second, 100 + second) for second in range(3_600)]))


def test_a_file_sent_at_once_waits_for_what_is_more_than_allowed_ahead() -> None:
    pace = Pace(max_ahead_seconds=2)
    assert pauses(pace, [(0, 100), (1, 100), (2, 100), (2.5, 100), (3.5, 100)]) == pytest.approx([0, 0, 0, 0.5, 1.5])
    assert pauses(pace, [(3.5, 101.5)]) == pytest.approx([0], abs=0.01)


def test_a_clock_a_little_fast_does_not_wait_after_a_long_day() -> None:
    day = [(second * 1.0005, 100 + second) for second in range(24 * 3_600)]
    assert not any(pauses(Pace(max_ahead_seconds=2), day))


def test_what_a_stalled_network_held_back_may_come_at_once() -> None:
    pace = Pace(max_ahead_seconds=2)
    stalled = [(0, 100), (1, 109), *((float(second), 109) for second in range(2, 12))]
    assert not any(pauses(pace, stalled))


def test_but_not_what_was_late_a_long_time_ago() -> None:
    pace = Pace(max_ahead_seconds=2)
    pauses(pace, [(0, 100), (1, 1_000)])
    assert pauses(pace, [(1 + second, 1_000) for second in range(1, 14)])[-1] == pytest.approx(1)


@pytest.mark.parametrize("jump", [1_000.0, -1_000.0])
def test_a_jump_is_another_time_line_and_no_reason_to_wait(jump: float) -> None:
    pace = Pace(max_ahead_seconds=2)
    assert pauses(pace, [(2_000, 100), (2_000 + jump, 100), (2_001 + jump, 100)]) == [0, 0, 0]


def test_a_second_of_messages_may_come_at_once_and_no_more() -> None:
    rate = MessageRate()
    assert not any(rate.pause_seconds(now=100) for _ in range(MAX_MESSAGES_PER_SECOND - 1))
    assert [rate.pause_seconds(now=100) for _ in range(501)][-1] == pytest.approx(0.5)
    assert rate.pause_seconds(now=101) == 0
