"""Joining streams: continuous numbers at a switch, unchanged gaps and order within a stream."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.rtp_packet import sequence_distance, timestamp_distance
from stagebook.media.rtc.rtp.rtp_rewriter import RtpRewriter

SEQUENCE = st.integers(0, 0xFFFF)
TIMESTAMP = st.integers(0, 0xFFFFFFFF)
CLOCK_RATE = 90_000


def follow(rewriter: RtpRewriter, sequence: int, timestamp: int, now: float) -> tuple[int, int]:
    """Switch to a stream and return the outgoing numbers of its first packet."""
    rewriter.switch(sequence=sequence, timestamp=timestamp, now=now)
    rewritten = rewriter.rewrite(sequence=sequence, timestamp=timestamp, now=now)
    assert rewritten is not None
    return rewritten


@given(SEQUENCE, TIMESTAMP, st.lists(st.integers(0, 2000), min_size=1, max_size=40))
def test_within_a_stream_gaps_and_order_are_kept(start: int, timestamp: int, steps: list[int]) -> None:
    rewriter = RtpRewriter(clock_rate=CLOCK_RATE)
    first, first_timestamp = follow(rewriter, start, timestamp, 0.0)
    for number, step in enumerate(steps):
        rewritten = rewriter.rewrite(
            sequence=(start + step) & 0xFFFF, timestamp=(timestamp + step * 3) & 0xFFFFFFFF, now=number / 100
        )
        assert rewritten is not None
        assert sequence_distance(rewritten[0], first) == step
        assert timestamp_distance(rewritten[1], first_timestamp) == step * 3


@settings(max_examples=60)
@given(st.lists(st.tuples(SEQUENCE, TIMESTAMP, st.integers(1, 30)), min_size=2, max_size=6))
def test_a_switch_continues_the_sequence_numbers_and_timestamps(
    streams: list[tuple[int, int, int]],
) -> None:
    rewriter = RtpRewriter(clock_rate=CLOCK_RATE)
    now = 0.0
    last: tuple[int, int] | None = None
    for sequence, timestamp, length in streams:
        now += 0.5
        for step in range(length):
            arrives = now + step / 30
            if step == 0:
                rewritten = follow(rewriter, sequence, timestamp, arrives)
                if last is not None:
                    assert sequence_distance(rewritten[0], last[0]) == 1
                    assert timestamp_distance(rewritten[1], last[1]) == 45_000
            else:
                given_numbers = ((sequence + step) & 0xFFFF, (timestamp + step * 3000) & 0xFFFFFFFF)
                known = rewriter.rewrite(sequence=given_numbers[0], timestamp=given_numbers[1], now=arrives)
                assert known is not None
                rewritten = known
            last = rewritten
        now = arrives


def test_a_packet_from_before_the_switch_is_dropped() -> None:
    rewriter = RtpRewriter(clock_rate=CLOCK_RATE)
    follow(rewriter, 100, 0, 0.0)
    follow(rewriter, 5, 50, 1.0)
    assert rewriter.rewrite(sequence=4, timestamp=49, now=1.0) is None
    assert rewriter.rewrite(sequence=0xFFFF, timestamp=49, now=1.0) is None


def test_sequence_numbers_are_rewritten_correctly_beyond_a_wrap() -> None:
    rewriter = RtpRewriter(clock_rate=CLOCK_RATE)
    first, _ = follow(rewriter, 0, 0, 0.0)
    for sequence in range(0, 200_000, 1_000):
        rewritten = rewriter.rewrite(sequence=sequence & 0xFFFF, timestamp=sequence, now=0.0)
        assert rewritten is not None
        assert (rewritten[0] - first) & 0xFFFF == sequence & 0xFFFF


def test_a_switch_without_elapsed_time_still_advances_the_timestamp() -> None:
    rewriter = RtpRewriter(clock_rate=CLOCK_RATE)
    _, before = follow(rewriter, 1, 1000, 1.0)
    _, after = follow(rewriter, 7, 9, 1.0)
    assert timestamp_distance(after, before) == 1


def test_a_late_packet_does_not_change_the_newest_timestamp() -> None:
    rewriter = RtpRewriter(clock_rate=CLOCK_RATE)
    _, first = follow(rewriter, 1, 1000, 0.0)
    rewriter.rewrite(sequence=3, timestamp=7000, now=0.1)
    rewriter.rewrite(sequence=2, timestamp=4000, now=0.2)
    _, after = follow(rewriter, 50, 0, 0.1)
    assert timestamp_distance(after, first) == 6001


def test_timestamps_of_sender_reports_are_rewritten_like_those_of_packets() -> None:
    rewriter = RtpRewriter(clock_rate=CLOCK_RATE)
    follow(rewriter, 1, 1000, 0.0)
    _, rewritten = follow(rewriter, 1, 5_000_000, 1.0)
    assert rewriter.rewrite_timestamp(5_000_000 + 90) == (rewritten + 90) & 0xFFFFFFFF


@given(
    SEQUENCE,
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=200),
    st.lists(st.integers(0, 199), max_size=20),
)
def test_inserted_packets_shift_the_later_ones_and_late_ones_keep_their_place(
    start: int, steps: list[tuple[int, bool]], late: list[int]
) -> None:
    rewriter = RtpRewriter(clock_rate=CLOCK_RATE)
    first, _ = follow(rewriter, start, 0, 0.0)
    given_to = {0: first}
    index, expected = 0, first
    for step, has_insertion in steps:
        index, expected = index + step, expected + step
        sequence = (start + index) & 0xFFFF
        if has_insertion:
            assert rewriter.insert(sequence=sequence) == expected & 0xFFFF
            expected += 1
        rewritten = rewriter.rewrite(sequence=sequence, timestamp=index, now=0.0)
        assert rewritten == (expected & 0xFFFF, index)
        given_to[index] = expected
    for number in late:
        if number in given_to:
            again = rewriter.rewrite(sequence=(start + number) & 0xFFFF, timestamp=number, now=0.0)
            assert again in (None, (given_to[number] & 0xFFFF, number))
            assert again is not None or sum(has_insertion for _, has_insertion in steps) > 64
    # A switch continues after the last number, insertions included.
    rewriter.switch(sequence=7, timestamp=7, now=0.0)
    switched = rewriter.rewrite(sequence=7, timestamp=7, now=0.0)
    assert switched is not None
    assert switched[0] == (expected + 1) & 0xFFFF
