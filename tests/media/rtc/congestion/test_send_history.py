"""The history of sent packets: numbers that wrap, batches as they were sent, and its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtc.congestion.send_history import KEPT_SECONDS, MAX_BATCHES, SendHistory


def send(history: SendHistory, sizes: list[int], now: float) -> int:
    first = history.take(len(sizes))
    history.add(first, sizes, now)
    return first


def test_numbers_count_the_packets_of_all_batches_and_wrap() -> None:
    history = SendHistory()
    assert history.take(3) == 0
    assert history.take(0x10000 - 3) == 3
    assert history.take(2) == 0


def test_a_number_of_the_wire_stands_for_the_newest_packet_that_has_it() -> None:
    history = SendHistory()
    history.take(0x10000 + 5)
    assert history.unwrap(4) == 0x10004
    assert history.unwrap(5) == 5


def test_a_number_that_was_never_taken_is_below_zero() -> None:
    history = SendHistory()
    assert history.unwrap(0) < 0
    history.take(5)
    assert history.unwrap(5) < 0


def test_batches_are_found_by_any_of_their_numbers() -> None:
    history = SendHistory()
    for index in range(4):
        send(history, [100 + index, 200 + index], index / 10)
    found = list(history.batches(3, 6))
    assert found == [(2, [101, 201], 0.1), (4, [102, 202], 0.2)]


def test_numbers_that_were_taken_but_not_sent_have_no_batch() -> None:
    history = SendHistory()
    send(history, [100], 0.0)
    history.take(5)
    send(history, [300], 0.1)
    assert [batch[0] for batch in history.batches(0, 7)] == [0, 6]
    assert list(history.batches(2, 5)) == []


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(0, 2100), st.integers(0, 300))
def test_batches_are_those_that_overlap_the_range(counts: list[int], first: int, count: int) -> None:
    history = SendHistory()
    starts = [send(history, [1] * each, 0.0) for each in counts]
    expected = [
        start for start, each in zip(starts, counts, strict=True) if start < first + count and start + each > first
    ]
    assert [batch[0] for batch in history.batches(first, first + count)] == expected


def test_memory_is_bounded_without_any_feedback() -> None:
    history = SendHistory()
    for index in range(MAX_BATCHES * 5):
        send(history, [100], index / 100)
        assert len(history._batches) <= MAX_BATCHES
    newest = MAX_BATCHES * 5 - 1
    assert [batch[0] for batch in history.batches(newest, newest + 1)] == [newest]


def test_a_batch_that_is_reported_in_part_is_kept() -> None:
    history = SendHistory()
    send(history, [100, 100], 0.0)
    history.forget(1, 10.0)
    assert len(list(history.batches(1, 2))) == 1


def test_reported_batches_are_dropped_after_a_while() -> None:
    history = SendHistory()
    send(history, [100], 0.0)
    send(history, [100], 0.5)
    send(history, [100], 0.6)
    history.forget(2, 0.9)
    assert len(list(history.batches(0, 3))) == 3
    history.forget(2, 0.1 + KEPT_SECONDS)
    assert [batch[0] for batch in history.batches(0, 3)] == [1, 2]
    history.forget(2, 10.0)
    assert [batch[0] for batch in history.batches(0, 3)] == [2]
