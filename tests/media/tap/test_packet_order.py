"""The jitter buffer of a tap."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.tap.packet_order import MAX_WAITING_BYTES, MAX_WAITING_PACKETS, MediaPacket, PacketOrder


def packet(number: int, size: int = 1) -> MediaPacket:
    return MediaPacket(number, 0, bytes(size))


def numbers(packets: object) -> list[int | None]:
    return [None if each is None else each.timestamp for each in packets]  # type: ignore[attr-defined]


@given(
    first=st.integers(0, 0xFFFF),
    size=st.integers(1, 200),
    seed=st.integers(0, 1 << 30),
    lost=st.sets(st.integers(1, 199), max_size=20),
)
def test_any_order_with_duplicates_comes_out_in_order_once(first: int, size: int, seed: int, lost: set[int]) -> None:
    shuffled = random.Random(seed)
    arrivals = sorted(range(1, size), key=lambda number: number + shuffled.uniform(0, 20))
    order = PacketOrder(patience_seconds=1)
    out = numbers(order.add(first, packet(0), 0))
    for number in arrivals:
        if number not in lost:
            for _ in range(shuffled.choice((1, 1, 2))):
                out += numbers(order.add((first + number) & 0xFFFF, packet(number), 0))
    out += numbers(order.expire(1))
    expected = [number for number in range(size) if number not in lost]
    assert [number for number in out if number is not None] == expected
    gaps = sum(1 for before, after in pairwise(expected) if after > before + 1)
    assert out.count(None) == gaps


def test_a_gap_is_given_up_after_the_patience() -> None:
    order = PacketOrder(patience_seconds=1)
    order.add(10, packet(10), 0)
    assert not order.add(12, packet(12), 5)
    assert order.is_missing(11)
    assert not order.expire(5.9)
    assert numbers(order.expire(6)) == [None, 12]
    assert not order.is_missing(11)
    assert not order.add(11, packet(11), 6)


def test_what_waits_is_bounded_in_packets() -> None:
    order = PacketOrder(patience_seconds=1)
    order.add(0, packet(0), 0)
    for number in range(2, MAX_WAITING_PACKETS + 2):
        assert not order.add(number, packet(number), 0)
    last = MAX_WAITING_PACKETS + 2
    assert numbers(order.add(last, packet(last), 0)) == [None, *range(2, last + 1)]


def test_what_waits_is_bounded_in_bytes() -> None:
    order = PacketOrder(patience_seconds=1)
    order.add(0, packet(0), 0)
    half = MAX_WAITING_BYTES // 2
    assert not order.add(2, packet(2, half), 0)
    assert not order.add(4, packet(4, half), 0)
    assert numbers(order.add(6, packet(6), 0)) == [None, 2]


def test_a_stray_packet_is_dropped_and_a_restart_goes_on() -> None:
    order = PacketOrder(patience_seconds=1)
    order.add(0, packet(0), 0)
    assert not order.add(30000, packet(1), 0)
    assert numbers(order.add(1, packet(2), 0)) == [2]
    assert not order.add(30000, packet(3), 0)
    assert numbers(order.add(30001, packet(4), 0)) == [None, 4]
    assert numbers(order.add(30002, packet(5), 0)) == [5]
