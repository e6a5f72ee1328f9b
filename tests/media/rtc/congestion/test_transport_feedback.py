"""Transport-wide feedback: each kind of chunk and delta, and bytes that are no valid message."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtc.congestion.transport_feedback import MAX_PACKETS, REFERENCE_TICKS, read_arrivals
from tests.media.rtc.congestion.feedback_writer import write_arrivals
from tests.media.rtc.operation_count import count_operations


def message(*chunks: int, count: int, deltas: bytes = b"", first: int = 7, reference: int = 0) -> bytes:
    head = struct.pack("!HH", first, count) + reference.to_bytes(3, "big", signed=True) + b"\x05"
    return head + b"".join(struct.pack("!H", chunk) for chunk in chunks) + deltas


def ticks_of(body: bytes) -> list[int | None] | None:
    arrivals = read_arrivals(body)
    return None if arrivals is None else arrivals.ticks


def test_the_header_is_read() -> None:
    arrivals = read_arrivals(message(0x2001, count=1, deltas=b"\x04", first=0xFFFF, reference=-2))
    assert arrivals is not None
    assert (arrivals.first, arrivals.reference, arrivals.message_count, arrivals.ticks) == (0xFFFF, -2, 5, [4])


def test_a_run_of_small_deltas_adds_up() -> None:
    assert ticks_of(message(0x2003, count=3, deltas=bytes([10, 0, 255]))) == [10, 10, 265]


def test_a_run_of_missing_packets_has_no_deltas() -> None:
    assert ticks_of(message(0x0002, 0x2001, count=3, deltas=b"\x09")) == [None, None, 9]


def test_large_deltas_have_a_sign() -> None:
    assert ticks_of(message(0x4002, count=2, deltas=struct.pack("!hh", 1000, -3))) == [1000, 997]


def test_a_vector_of_one_bit_statuses_is_read_from_its_highest_bit() -> None:
    chunk = 0x8000 | 0b10100000000001
    assert ticks_of(message(chunk, count=14, deltas=b"\1\2\3")) == [1, None, 3, *[None] * 10, 6]


def test_a_vector_of_two_bit_statuses_is_read_from_its_highest_bits() -> None:
    chunk = 0xC000 | 0b01_00_10_00_00_00_01
    assert ticks_of(message(chunk, count=7, deltas=b"\1\x01\x00\2")) == [1, None, 257, None, None, None, 259]


def test_statuses_beyond_the_count_are_padding() -> None:
    assert ticks_of(message(0x8000 | 0x3FFF, count=2, deltas=b"\1\1")) == [1, 2]
    assert ticks_of(message(0x3FFF, count=2, deltas=b"\1\1\0\0")) == [1, 2]


def test_messages_that_are_cut_are_refused() -> None:
    whole = message(0x2003, 0x8000 | 0x3000, count=17, deltas=bytes(5))
    assert ticks_of(whole) is not None
    assert [size for size in range(len(whole)) if ticks_of(whole[:size]) is not None] == []


def test_a_reserved_status_is_refused() -> None:
    assert ticks_of(message(0x6001, count=1, deltas=bytes(8))) is None
    assert ticks_of(message(0xF000, count=7, deltas=bytes(30))) is None


def test_more_packets_than_the_bound_are_refused() -> None:
    assert ticks_of(message(MAX_PACKETS, count=MAX_PACKETS)) == [None] * MAX_PACKETS
    assert ticks_of(message(MAX_PACKETS + 1, count=MAX_PACKETS + 1)) is None


@given(st.binary(max_size=1500))
def test_no_bytes_raise(body: bytes) -> None:
    arrivals = read_arrivals(body)
    assert arrivals is None or len(arrivals.ticks) == int.from_bytes(body[2:4], "big")


@given(
    st.integers(0, 0xFFFF),
    st.lists(st.one_of(st.none(), st.integers(-3000, 32_000)), max_size=60),
    st.integers(0, 10_000_000),
    st.booleans(),
)
def test_what_a_receiver_reports_is_read(
    first: int,
    steps: list[int | None],
    origin: int,
    two_bits: bool,  # noqa: FBT001 - hypothesis passes it
) -> None:
    ticks: list[int | None] = []
    at = origin + 200_000
    for step in steps:
        at += step or 0
        ticks.append(None if step is None else at)
    arrivals = read_arrivals(write_arrivals(first, ticks, two_bits=two_bits))
    assert arrivals is not None
    assert arrivals.first == first
    start = arrivals.reference * REFERENCE_TICKS
    assert [None if tick is None else start + tick for tick in arrivals.ticks] == ticks


def test_the_work_is_linear_in_the_number_of_packets() -> None:
    def work(packets: int) -> int:
        body = write_arrivals(0, [None if index % 3 else index for index in range(packets)])
        return count_operations(lambda: read_arrivals(body))

    assert work(1600) < 2.2 * work(800)
