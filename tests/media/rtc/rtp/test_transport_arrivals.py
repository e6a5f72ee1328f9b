"""Transport-wide feedback, written by the recorder of arrivals and read by the parser for viewers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.congestion.transport_feedback import REFERENCE_TICKS, TICK_SECONDS, read_arrivals
from stagebook.media.rtc.rtp.transport_arrivals import (
    MAX_GAP_PACKETS,
    MAX_LATE_MESSAGES,
    MAX_PACKETS_PER_MESSAGE,
    MAX_PENDING_PACKETS,
    TransportArrivals,
)
from tests.media.rtc.operation_count import count_operations

MTU_BYTES = 1_450


class Sender:
    """Reads the feedback of a recorder."""

    def __init__(self) -> None:
        self.arrivals = TransportArrivals()
        self.messages = 0

    def take(self) -> list[dict[int, float | None]]:
        """Return when each number arrived by each message; None for those that did not."""
        return [self._read(message) for message in self.arrivals.take_messages(sender_ssrc=1, media_ssrc=2)]

    def _read(self, message: bytes) -> dict[int, float | None]:
        assert len(message) <= MTU_BYTES
        assert message[0] & 0x1F == 15
        assert message[1:12] == b"\xcd" + (len(message) // 4 - 1).to_bytes(2) + b"\0\0\0\1\0\0\0\2"
        padding = message[-1] if message[0] & 0x20 else 0
        read = read_arrivals(message[12 : len(message) - padding])
        assert read is not None
        assert read.message_count == self.messages & 0xFF
        self.messages += 1
        reference = read.reference * REFERENCE_TICKS
        return {
            read.first + position & 0xFFFF: None if tick is None else (reference + tick) * TICK_SECONDS
            for position, tick in enumerate(read.ticks)
        }


def test_nothing_is_reported_without_packets() -> None:
    sender = Sender()
    assert sender.take() == []
    sender.arrivals.record(1, 0.0)
    assert len(sender.take()) == 1
    assert sender.take() == []


def test_arrivals_are_reported_with_their_times_and_gaps() -> None:
    sender = Sender()
    for number, now in ((65534, 10.0), (65535, 10.001), (2, 10.1), (3, 10.0995)):
        sender.arrivals.record(number, now)
    assert sender.take() == [{65534: 10.0, 65535: 10.001, 0: None, 1: None, 2: 10.1, 3: 10.0995}]
    sender.arrivals.record(5, 10.5)
    assert sender.take() == [{4: None, 5: 10.5}]


def test_what_was_sent_while_nothing_arrived_is_not_reported_as_lost() -> None:
    sender = Sender()
    sender.arrivals.record(3, 10.0)
    sender.take()
    sender.arrivals.record(90, 16.0)
    sender.arrivals.record(92, 16.01)
    assert sender.take() == [{90: 16.0, 91: None, 92: 16.01}]


def test_a_packet_that_a_report_passed_over_is_reported_later() -> None:
    sender = Sender()
    for number in (1, 2, 4, 6):
        sender.arrivals.record(number, 1.0)
    sender.take()
    for number in (3, 8, 5):
        sender.arrivals.record(number, 1.05)
    assert sender.take() == [{3: 1.05}, {5: 1.05}, {7: None, 8: 1.05}]


def test_the_messages_for_late_packets_are_bounded() -> None:
    sender = Sender()
    sender.arrivals.record(1, 0.0)
    sender.arrivals.record(1000, 0.0)
    sender.take()
    for number in range(2, 500, 2):
        sender.arrivals.record(number, 1.0)
    late = sender.take()
    assert [list(message) for message in late] == [[number] for number in range(500 - 2 * MAX_LATE_MESSAGES, 500, 2)]


def test_many_packets_take_several_messages() -> None:
    sender = Sender()
    for number in range(3 * MAX_PACKETS_PER_MESSAGE):
        # Each is behind a gap, and needs two bytes for its time.
        sender.arrivals.record(9 * number, number * 0.1)
    messages = sender.take()
    assert len(messages) > 3
    received = [number for message in messages for number, arrived_at in message.items() if arrived_at is not None]
    assert received == list(range(0, 27 * MAX_PACKETS_PER_MESSAGE, 9))


def test_a_gap_in_time_begins_a_message() -> None:
    sender = Sender()
    sender.arrivals.record(1, 1.0)
    sender.arrivals.record(2, 100.0)
    assert sender.take() == [{1: 1.0}, {2: 100.0}]


def test_the_numbers_of_a_great_gap_are_not_reported() -> None:
    sender = Sender()
    sender.arrivals.record(1, 1.0)
    sender.arrivals.record(MAX_GAP_PACKETS + 10, 1.0)
    assert sender.take() == [{1: 1.0}, {MAX_GAP_PACKETS + 10: 1.0}]


def test_a_second_arrival_of_a_number_is_ignored() -> None:
    sender = Sender()
    sender.arrivals.record(1, 1.0)
    sender.arrivals.record(1, 2.0)
    assert sender.take() == [{1: 1.0}]


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2000)), min_size=1, max_size=300), st.integers(0, 0xFFFF))
def test_each_arrival_is_reported_once(packets: list[tuple[int, int]], start: int) -> None:
    sender = Sender()
    expected: dict[int, float] = {start: 5.0}
    sender.arrivals.record(start, 5.0)
    for offset, ticks in packets:
        sender.arrivals.record(start + offset & 0xFFFF, 5 + ticks * TICK_SECONDS)
        expected.setdefault(start + offset & 0xFFFF, 5 + ticks * TICK_SECONDS)
    reported: dict[int, float] = {}
    for message in sender.take():
        for number, arrived_at in message.items():
            if arrived_at is not None:
                assert number not in reported
                reported[number] = arrived_at
    assert reported == pytest.approx(expected)


def flood(step: int, count: int) -> TransportArrivals:
    arrivals = TransportArrivals()
    for number in range(count):
        arrivals.record(number * step & 0xFFFF, number / 1000)
    list(arrivals.take_messages(sender_ssrc=1, media_ssrc=2))
    return arrivals


@pytest.mark.parametrize("step", [2, 700, MAX_GAP_PACKETS, 20_000, 0x8000, 0xFFFE])
def test_gaps_in_the_numbers_cost_no_more_than_packets(step: int) -> None:
    assert count_operations(lambda: flood(step, 300)) < 6 * count_operations(lambda: flood(1, 300))


def test_the_arrivals_that_wait_are_bounded() -> None:
    arrivals = TransportArrivals()
    for number in range(3 * MAX_PENDING_PACKETS):
        arrivals.record(number, 1.0)
    assert len(arrivals._pending) == MAX_PENDING_PACKETS
