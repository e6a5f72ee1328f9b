"""The limits of retransmissions: bytes within the estimate, and a round trip between two of one packet."""

from stagebook.media.rtc.congestion.resend_budget import (
    MAX_REPEATED_PACKETS,
    MAX_SHARE,
    MIN_BURST_BYTES,
    MIN_SHARE,
    RepeatTimes,
    ResendBudget,
)


def taken_bytes(budget: ResendBudget, *, estimate_bps: int | None, sent_bps: float | None, seconds: int) -> int:
    """What a viewer gets that requests all it can, 20 times a second."""
    taken = 0
    for step in range(seconds * 20):
        budget.renew(step / 20, estimate_bps=estimate_bps, sent_bps=sent_bps)
        while budget.take(1000):
            taken += 1000
    return taken


def test_a_viewer_whose_line_is_full_gets_the_least_share() -> None:
    taken = taken_bytes(ResendBudget(), estimate_bps=1_000_000, sent_bps=1_200_000.0, seconds=20)
    assert taken * 8 / 20 <= MIN_SHARE * 1_000_000 + MIN_BURST_BYTES * 8 / 20
    assert taken * 8 / 20 >= MIN_SHARE * 1_000_000 * 0.9


def test_a_viewer_with_room_gets_the_largest_share() -> None:
    taken = taken_bytes(ResendBudget(), estimate_bps=4_000_000, sent_bps=1_000_000.0, seconds=20)
    assert 0.9 < taken * 8 / 20 / (MAX_SHARE * 4_000_000) < 1.1


def test_in_between_it_is_what_the_media_leave() -> None:
    taken = taken_bytes(ResendBudget(), estimate_bps=1_000_000, sent_bps=850_000.0, seconds=20)
    assert 0.9 < taken * 8 / 20 / 150_000 < 1.1


def test_what_is_refused_is_counted() -> None:
    budget = ResendBudget()
    budget.renew(0.0, estimate_bps=None, sent_bps=None)
    assert not budget.take(MIN_BURST_BYTES + 1)
    assert budget.refused_packets == 1


def test_a_packet_is_repeated_after_a_round_trip() -> None:
    times = RepeatTimes()
    assert times.may_repeat(5, 1.0, 0.3)
    assert not times.may_repeat(5, 1.2, 0.3)
    assert times.may_repeat(6, 1.2, 0.3)
    assert times.may_repeat(5, 1.31, 0.3)
    assert not times.may_repeat(5, 1.5, 0.3)


def test_without_a_known_round_trip_there_is_a_default() -> None:
    times = RepeatTimes()
    assert times.may_repeat(5, 1.0, None)
    assert not times.may_repeat(5, 1.05, None)
    assert times.may_repeat(5, 1.11, None)


def test_the_memory_of_repeated_packets_is_bounded() -> None:
    times = RepeatTimes()
    for sequence in range(3 * MAX_REPEATED_PACKETS):
        assert times.may_repeat(sequence, sequence / 1000, 1.0)
        assert len(times._sent_at) <= MAX_REPEATED_PACKETS
