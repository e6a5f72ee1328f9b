"""What waits for one reader: it comes out in order and in large parts, and it is bounded."""

import pytest

from stagebook.api.watch.live_tail import live_reader
from stagebook.api.watch.live_tail.event_stream_format import DisconnectCode
from stagebook.api.watch.live_tail.live_reader import (
    PART_SIZE_BYTES,
    QUEUE_EVENTS,
    LiveReader,
    QueueBudget,
    StreamPart,
    stream_parts,
)
from tests.api.watch.live_tail.listed_log import EVERYTHING, allow


def reader(budget: QueueBudget | None = None) -> LiveReader:
    return LiveReader(EVERYTHING, check_access=allow, budget=budget or QueueBudget())


def part(number: int, size_bytes: int = 10, *, events: int = 1) -> StreamPart:
    return StreamPart(b"%d" % (number % 10) * size_bytes, events=events, last_sequence=number)


def test_parts_come_out_in_order_and_joined_up_to_a_size() -> None:
    one = reader()
    for number in range(1, 4):
        one.put(part(number, 7_000))
    assert one.take() == b"1" * 7_000 + b"2" * 7_000
    assert (one.sent_position, one.position) == (2, 3)
    assert one.take() == b"3" * 7_000
    assert one.take() == b""


def test_messages_are_gathered_to_parts_of_a_bounded_size() -> None:
    sizes = [10_000, 10_000, 2_000, 50_000, 1]
    parts = list(stream_parts((number, b"x" * size) for number, size in enumerate(sizes, start=1)))
    assert [(len(each.data), each.events, each.last_sequence) for each in parts] == [
        (10_000, 1, 1),
        (12_000, 2, 3),
        (50_000, 1, 4),
        (1, 1, 5),
    ]


def test_too_many_events_end_a_reader_which_keeps_nothing() -> None:
    budget = QueueBudget()
    one = reader(budget)
    one.put(part(1))
    assert one.take()
    for number in range(2, QUEUE_EVENTS + 2):
        one.put(part(number))
    assert not one.end
    one.put(part(QUEUE_EVENTS + 2))
    ended: DisconnectCode | None = one.end
    assert (ended, one.take(), one.sent_position, budget.used_bytes) == (DisconnectCode.TOO_SLOW, b"", 1, 0)


def test_too_many_bytes_end_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_reader, "QUEUE_SIZE_BYTES", 100)
    one = reader()
    one.put(part(1, 100))
    assert not one.end
    one.put(part(2, 1))
    assert one.end is DisconnectCode.TOO_SLOW


def test_a_part_that_waits_for_several_readers_counts_once() -> None:
    budget = QueueBudget()
    readers = [reader(budget) for _ in range(3)]
    shared = part(1, 1_000)
    for each in readers:
        each.put(shared)
    assert budget.used_bytes == 1_000
    readers[0].take()
    readers[1].close()
    assert budget.used_bytes == 1_000
    readers[2].take()
    assert budget.used_bytes == 0


def test_above_the_budget_only_readers_above_their_share_end() -> None:
    budget = QueueBudget(limit_bytes=20_000)
    small, large = reader(budget), reader(budget)
    small.put(part(1, PART_SIZE_BYTES))
    large.put(part(2, PART_SIZE_BYTES))
    assert (small.end, large.end) == (None, None)
    large.put(part(3, PART_SIZE_BYTES))
    assert (small.end, large.end) == (None, DisconnectCode.TOO_SLOW)


async def test_what_waits_is_sent_before_an_ordinary_end() -> None:
    one = reader()
    one.put(part(1))
    one.finish(DisconnectCode.STOPPING)
    await one.wait()
    assert (one.take(), one.take(), one.end) == (b"1" * 10, b"", DisconnectCode.STOPPING)
