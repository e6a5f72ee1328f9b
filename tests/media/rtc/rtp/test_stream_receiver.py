"""Loss, jitter, NACKs and report blocks of one stream (RFC 3550 appendix A, RFC 4585)."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.missing_packets import KEPT_PACKETS, MAX_MISSING_PACKETS, NACK_ATTEMPTS
from stagebook.media.rtc.rtp.path_timing import FIRST_RETRY_SECONDS, PathTiming
from stagebook.media.rtc.rtp.rtcp import ReportBlock
from stagebook.media.rtc.rtp.stream_receiver import MAX_DROPOUT_PACKETS, Arrival, StreamReceiver
from tests.media.rtc.operation_count import count_operations


def receiver(*sequences: int) -> StreamReceiver:
    """Return a receiver that has taken these packets."""
    stream = StreamReceiver(ssrc=7, clock_rate=90_000)
    for sequence in sequences:
        take(stream, sequence)
    return stream


def take(stream: StreamReceiver, sequence: int, *, timestamp: int = 0, now: float = 0.0) -> Arrival:
    """Pass a packet to the receiver."""
    return stream.receive(sequence=sequence & 0xFFFF, timestamp=timestamp, now=now)


def test_a_packet_is_newest_late_or_discarded() -> None:
    stream = receiver(65534)
    assert take(stream, 65535) is Arrival.NEWEST
    assert take(stream, 2) is Arrival.NEWEST
    assert take(stream, 1) is Arrival.LATE
    assert take(stream, 1) is Arrival.DISCARDED
    assert take(stream, 65535) is Arrival.DISCARDED


def test_missing_packets_are_requested_at_once() -> None:
    stream = receiver(65534, 1)
    assert stream.missing.next_request_at == 0.0
    assert stream.due_nacks(0.0) == [65535, 0]
    assert stream.missing.next_request_at > 0.0


def test_a_packet_is_requested_at_growing_intervals_and_then_given_up() -> None:
    stream = receiver(1, 3)
    requested_at = [moment / 100 for moment in range(1000) if stream.due_nacks(moment / 100)]
    assert len(requested_at) == NACK_ATTEMPTS
    pauses = [later - earlier for earlier, later in itertools.pairwise(requested_at)]
    assert pauses == sorted(pauses)
    assert stream.missing.given_up
    assert stream.missing.next_request_at == float("inf")
    assert take(stream, 2, now=10.0) is Arrival.LATE


def test_a_packet_that_arrived_is_not_requested() -> None:
    stream = receiver(1, 4)
    take(stream, 2)
    assert stream.repair(3, 0.0)
    assert stream.due_nacks(0.0) == []
    assert not stream.repair(3, 0.0)
    assert stream.missing.recovered == 2


def test_a_repair_of_a_packet_that_is_not_missing_is_rejected() -> None:
    assert not StreamReceiver(ssrc=7, clock_rate=90_000).repair(1, 0.0)
    assert not receiver(1, 2).repair(1, 0.0)


class LatePackets:
    """A stream of 100 packets a second, each tenth of which arrives `late_seconds` late, and its requests."""

    def __init__(self, *, late_seconds: float, has_rtx: bool, count: int = 1000) -> None:
        self.timing = PathTiming()
        self.stream = StreamReceiver(ssrc=7, clock_rate=90_000, timing=self.timing, has_rtx=has_rtx)
        self.requests = 0
        arrivals = [(number / 100 + (late_seconds if number % 10 == 9 else 0), number) for number in range(count)]
        for now, number in sorted(arrivals):
            self.stream.receive(sequence=number, timestamp=number * 900, now=now)
            for sequence in self.stream.due_nacks(now):
                self.requests += 1
                if has_rtx:
                    # The retransmission comes before the packet itself.
                    self.stream.repair(sequence, now)


@pytest.mark.parametrize("late_seconds", [0.025, 0.06])
def test_nacks_wait_for_the_measured_reordering(late_seconds: float) -> None:
    late = LatePackets(late_seconds=late_seconds, has_rtx=True)
    assert late.requests <= 2
    # A gap is noticed up to 10 ms after the missing packet was sent.
    assert late_seconds - 0.01 < late.timing.reordering_seconds <= 1.5 * late_seconds
    report = late.stream.report(10.0)
    assert report is not None
    assert report.packets_lost == 0
    assert late.stream.take_unrepaired() == (1000, 0)


def test_the_wait_for_reordered_packets_is_bounded() -> None:
    late = LatePackets(late_seconds=0.5, has_rtx=True)
    assert late.timing.reordering_seconds == 0.0
    report = late.stream.report(10.0)
    assert report is not None
    assert report.packets_lost == 0


@pytest.mark.parametrize("round_trip_seconds", [0.02, 0.25, 0.6])
def test_a_packet_is_requested_at_most_once_in_a_round_trip_time(round_trip_seconds: float) -> None:
    stream = StreamReceiver(ssrc=7, clock_rate=90_000, has_rtx=True)
    repairs: list[tuple[float, int]] = []
    requests = losses = 0
    for step in range(20_000):
        now = step / 1000
        if step % 10 == 0 and step % 500 != 490:
            stream.receive(sequence=step // 10, timestamp=0, now=now)
        while repairs and repairs[0][0] <= now:
            losses += stream.repair(repairs.pop(0)[1], now)
        due = stream.due_nacks(now)
        requests += len(due)
        repairs += [(now + round_trip_seconds, sequence) for sequence in due]
    # Only before the first measurement a packet may be requested sooner.
    assert losses >= 38
    assert requests <= losses + 6


def test_the_packets_of_an_outage_are_not_requested() -> None:
    stream = receiver(1, MAX_MISSING_PACKETS + 3)
    assert stream.due_nacks(0.0) == []
    assert stream.missing.given_up


def test_packets_too_far_behind_are_no_longer_missing() -> None:
    stream = receiver(1, 3, *range(4, KEPT_PACKETS + 10), KEPT_PACKETS + 20)
    assert not stream.is_missing(2)
    assert stream.is_missing(KEPT_PACKETS + 19)


def test_one_implausible_number_is_discarded_and_two_in_a_row_restart_the_stream() -> None:
    stream = receiver(1, 2)
    implausible = 2 + MAX_DROPOUT_PACKETS + 10
    assert take(stream, implausible) is Arrival.DISCARDED
    assert take(stream, 3) is Arrival.NEWEST
    assert take(stream, implausible) is Arrival.DISCARDED
    assert take(stream, implausible + 1) is Arrival.RESTARTED
    assert take(stream, implausible + 2) is Arrival.NEWEST
    assert stream.due_nacks(0.0) == []


def test_a_report_has_the_loss_of_its_interval_and_the_total_loss() -> None:
    stream = receiver(10, 11, 12, 15)
    first = lost_after_requests(stream)
    assert (first.ssrc, first.fraction_lost, first.packets_lost, first.highest_sequence) == (7, 256 * 2 // 6, 2, 15)
    take(stream, 16)
    second = stream.report(1.0)
    assert second is not None
    assert (second.fraction_lost, second.packets_lost) == (0, 2)


def lost_after_requests(stream: StreamReceiver) -> ReportBlock:
    """Return the report after the missing packets have been requested twice."""
    stream.due_nacks(0.0)
    stream.due_nacks(FIRST_RETRY_SECONDS)
    report = stream.report(FIRST_RETRY_SECONDS)
    assert report is not None
    return report


def test_a_packet_counts_as_lost_once_it_is_not_repaired_within_a_round_trip_time() -> None:
    stream = receiver(1, 3)
    stream.due_nacks(0.0)
    report = stream.report(0.0)
    assert report is not None
    assert report.packets_lost == 0
    assert stream.take_unrepaired() == (3, 0)
    assert lost_after_requests(stream).packets_lost == 1
    assert stream.take_unrepaired() == (0, 1)


def test_a_packet_that_is_repaired_in_time_was_never_lost() -> None:
    stream = receiver(1, 3)
    stream.due_nacks(0.0)
    stream.repair(2, 0.01)
    assert lost_after_requests(stream).packets_lost == 0
    assert stream.take_unrepaired() == (3, 0)


def test_a_late_repair_takes_the_loss_back_and_still_tells_of_congestion() -> None:
    stream = receiver(1, 3)
    assert lost_after_requests(stream).packets_lost == 1
    stream.repair(2, 1.0)
    report = stream.report(1.0)
    assert report is not None
    assert report.packets_lost == 0
    assert stream.take_unrepaired() == (3, 1)


def test_the_packets_of_an_outage_and_those_too_far_behind_are_lost() -> None:
    outage = receiver(1, MAX_MISSING_PACKETS + 3).report(0.0)
    assert outage is not None
    assert outage.packets_lost == MAX_MISSING_PACKETS + 1
    behind = receiver(1, 3, *range(4, KEPT_PACKETS + 10), KEPT_PACKETS + 20).report(0.0)
    assert behind is not None
    assert behind.packets_lost == 1


def test_there_is_no_report_before_the_first_packet() -> None:
    assert StreamReceiver(ssrc=7, clock_rate=90_000).report(0.0) is None


def test_a_report_refers_to_the_last_sender_report() -> None:
    stream = receiver(1)
    stream.receive_sender_report(0x0123456789ABCDEF, 10.0)
    report = stream.report(12.5)
    assert report is not None
    assert report.last_sender_report == 0x456789AB
    assert report.delay == int(2.5 * 65536)


def test_jitter_is_zero_for_evenly_spaced_packets_and_grows_with_uneven_ones() -> None:
    even, uneven = receiver(), receiver()
    for number in range(100):
        take(even, number, timestamp=number * 3000, now=number / 30)
        take(uneven, number, timestamp=number * 3000, now=number / 30 + (number % 2) * 0.010)
    one, other = even.report(0.0), uneven.report(0.0)
    assert one is not None
    assert other is not None
    assert one.jitter <= 1
    # Ten milliseconds at 90 kHz are 900 units.
    assert 800 < other.jitter <= 900


@settings(max_examples=60)
@given(st.permutations(range(40)), st.sets(st.integers(1, 38), max_size=20), st.integers(0, 0xFFFF))
def test_in_any_order_each_packet_counts_once_and_the_others_are_missing(
    order: list[int], lost: set[int], start: int
) -> None:
    stream = StreamReceiver(ssrc=7, clock_rate=90_000)
    take(stream, start)
    for number in order:
        if number not in lost:
            assert take(stream, start + 1 + number) in (Arrival.NEWEST, Arrival.LATE)
            assert take(stream, start + 1 + number) is Arrival.DISCARDED
    highest = max(set(order) - lost)
    expected = sorted(number for number in lost if number < highest)
    assert sorted((sequence - start - 1) & 0xFFFF for sequence in stream.due_nacks(0.0)) == expected


@settings(max_examples=60)
@given(st.lists(st.integers(0, 0xFFFF), max_size=200))
def test_arbitrary_sequence_numbers_keep_the_receiver_bounded(sequences: list[int]) -> None:
    stream = StreamReceiver(ssrc=7, clock_rate=90_000)
    for sequence in sequences:
        take(stream, sequence)
        assert len(stream.due_nacks(0.0)) <= MAX_MISSING_PACKETS
        stream.report(0.0)


def receive_every_second_packet(count: int) -> None:
    receiver = StreamReceiver(ssrc=1, clock_rate=90_000)
    for number in range(count):
        receiver.receive(sequence=2 * number, timestamp=0, now=0.0)
        if receiver.missing.next_request_at <= 0.0:
            assert receiver.due_nacks(0.0) == [2 * number - 1]


def test_the_work_for_a_packet_does_not_grow_with_the_number_of_missing_ones() -> None:
    few = count_operations(lambda: receive_every_second_packet(100))
    many = count_operations(lambda: receive_every_second_packet(400))
    assert many < 4.4 * few


def test_nothing_is_kept_of_packets_that_are_too_old() -> None:
    receiver = StreamReceiver(ssrc=1, clock_rate=90_000)
    for number in range(20_000):
        receiver.receive(sequence=4 * number & 0xFFFF, timestamp=0, now=number / 1000)
        receiver.due_nacks(number / 1000)
    assert len(receiver.missing) <= MAX_MISSING_PACKETS
    assert len(receiver.missing._requests) <= 4 * MAX_MISSING_PACKETS
