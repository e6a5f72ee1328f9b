"""Loss, bottleneck, queue, delay and order of an emulated link, in virtual time."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.network.emulator.emulated_link import EmulatedLink
from tests.network.emulator.link_conditions import OVERHEAD_BYTES, LinkConditions

PACKETS = 6_000
SIZE_BYTES = 1000
PAYLOAD = bytes(SIZE_BYTES - OVERHEAD_BYTES)
"""With the headers, a packet has 8,000 bits."""


def numbered(count: int) -> Iterator[bytes]:
    """Packets that differ."""
    for number in range(count):
        yield number.to_bytes(4, "big") + PAYLOAD[4:]


def numbers(packets: list[bytes]) -> list[int]:
    """The numbers of such packets."""
    return [int.from_bytes(packet[:4], "big") for packet in packets]


def run(
    link: EmulatedLink[bytes], *, count: int, packets_per_second: float, start: float = 0.0
) -> list[tuple[float, int]]:
    """Send numbered packets, and take each one at its time. Returns the time of arrival and the number of each."""
    arrivals: list[tuple[float, int]] = []
    for number, packet in enumerate(numbered(count)):
        now = start + number / packets_per_second
        drain(link, arrivals, until=now)
        link.send(packet, now)
    drain(link, arrivals, until=float("inf"))
    return arrivals


def drain(link: EmulatedLink[bytes], arrivals: list[tuple[float, int]], *, until: float) -> None:
    """Take what arrives until a time."""
    while (due := link.next_arrival()) is not None and due <= until:
        arrivals += [(due, number) for number in numbers(link.receive(due))]


def test_a_link_without_conditions_passes_everything_at_once() -> None:
    link = EmulatedLink[bytes](LinkConditions(), seed=1, now=0.0)
    assert run(link, count=100, packets_per_second=50) == [(number / 50, number) for number in range(100)]


def test_random_loss_has_the_wanted_share_and_short_runs() -> None:
    link = EmulatedLink[bytes](LinkConditions(loss=0.05), seed=1, now=0.0)
    lost = lost_numbers(run(link, count=PACKETS, packets_per_second=1000))
    assert len(lost) == link.meter.total.lost_packets
    assert len(lost) / PACKETS == pytest.approx(0.05, rel=0.15)
    assert len(lost) / len(list(runs(lost))) == pytest.approx(1 / 0.95, rel=0.15)


def test_bursts_have_the_wanted_share_and_length() -> None:
    link = EmulatedLink[bytes](LinkConditions(burst_loss=0.1, burst_packets=5), seed=1, now=0.0)
    lost = lost_numbers(run(link, count=PACKETS, packets_per_second=1000))
    assert len(lost) / PACKETS == pytest.approx(0.1, rel=0.15)
    assert len(lost) / len(list(runs(lost))) == pytest.approx(5, rel=0.15)


def test_the_same_seed_loses_the_same_packets_whatever_else_happens() -> None:
    link = EmulatedLink[bytes](LinkConditions(loss=0.05), seed=7, now=0.0)
    slow = EmulatedLink[bytes](LinkConditions(loss=0.05, delay_seconds=1, jitter_seconds=0.1), seed=7, now=0.0)
    other = EmulatedLink[bytes](LinkConditions(loss=0.05), seed=8, now=0.0)
    lost, lost_slowly, lost_by_other = (
        lost_numbers(run(each, count=PACKETS, packets_per_second=1000)) for each in (link, slow, other)
    )
    assert lost == lost_slowly
    assert lost != lost_by_other


def test_delay_and_jitter_keep_the_order() -> None:
    link = EmulatedLink[bytes](LinkConditions(delay_seconds=0.1, jitter_seconds=0.03), seed=1, now=0.0)
    arrivals = run(link, count=PACKETS, packets_per_second=1000)
    delays = [time - number / 1000 for time, number in arrivals]
    assert [number for _, number in arrivals] == list(range(PACKETS))
    assert min(delays) >= 0.07
    assert max(delays) <= 0.13 + 1e-6
    assert max(delays) - min(delays) > 0.02


def test_late_packets_are_overtaken() -> None:
    link = EmulatedLink[bytes](LinkConditions(late_share=0.1, late_seconds=0.0255), seed=1, now=0.0)
    arrivals = run(link, count=PACKETS, packets_per_second=1000)
    late = [number for time, number in arrivals if time - number / 1000 > 0.02]
    assert len(arrivals) == PACKETS
    assert len(late) / PACKETS == pytest.approx(0.1, rel=0.15)
    order = [number for _, number in arrivals]
    on_time = set(order) - set(late)
    after, before = (min(on_time - set(range(late[0] + bound))) for bound in (26, 1))
    assert order.index(before) < order.index(late[0]) < order.index(after)


def test_a_bottleneck_passes_its_rate_and_drops_what_the_queue_cannot_hold() -> None:
    link = EmulatedLink[bytes](LinkConditions(bitrate_bps=800_000, queue_seconds=0.2), seed=1, now=0.0)
    arrivals = run(link, count=1000, packets_per_second=200)  # 1.6 Mbit/s for 5 s
    gaps = [after - before for (before, _), (after, _) in pairwise(arrivals)]
    assert min(gaps) == pytest.approx(0.01)
    assert max(gaps) == pytest.approx(0.01)
    assert len(arrivals) == pytest.approx(500 + 20, abs=1)  # what passed within 5 s, and the queue
    assert link.meter.total.overflow_packets == 1000 - len(arrivals)
    assert link.meter.total.max_queue_seconds == pytest.approx(0.2, abs=0.01)


def test_a_packet_alone_takes_the_time_of_its_bits() -> None:
    link = EmulatedLink[bytes](LinkConditions(bitrate_bps=800_000, delay_seconds=0.05), seed=1, now=0.0)
    link.send(PAYLOAD, 100.0)
    due = link.next_arrival()
    assert due == pytest.approx(100.01)  # it leaves the bottleneck
    assert due is not None
    assert link.receive(due) == []
    due = link.next_arrival()
    assert due == pytest.approx(100.06)
    assert due is not None
    assert link.receive(due) == [PAYLOAD]
    assert link.next_arrival() is None


def test_a_change_of_the_rate_holds_for_what_waits() -> None:
    link = EmulatedLink[bytes](LinkConditions(bitrate_bps=800_000), seed=1, now=0.0)
    for packet in numbered(3):
        link.send(packet, 0.0)
    link.change(LinkConditions(bitrate_bps=80_000), 0.005)  # half of the first packet has left
    arrivals: list[tuple[float, int]] = []
    drain(link, arrivals, until=float("inf"))
    assert [time for time, _ in arrivals] == pytest.approx([0.055, 0.155, 0.255])


def test_a_bottleneck_that_is_removed_empties_its_queue_in_order() -> None:
    link = EmulatedLink[bytes](LinkConditions(bitrate_bps=800_000), seed=1, now=0.0)
    for packet in numbered(3):
        link.send(packet, 0.0)
    link.change(LinkConditions(), 0.012)
    assert numbers(link.receive(0.012)) == [0, 1, 2]


def test_a_blocked_link_loses_everything_until_it_is_open_again() -> None:
    link = EmulatedLink[bytes](LinkConditions(is_blocked=True), seed=1, now=0.0)
    link.send(PAYLOAD, 0.0)
    link.change(LinkConditions(), 1.0)
    link.send(PAYLOAD, 1.0)
    assert link.receive(1.0) == [PAYLOAD]
    assert link.meter.total.lost_packets == 1


def test_counters_have_bytes_with_headers_and_one_entry_for_each_tenth_of_a_second() -> None:
    link = EmulatedLink[bytes](LinkConditions(bitrate_bps=800_000, queue_seconds=10), seed=1, now=50.0)
    run(link, count=200, packets_per_second=200, start=50.0)
    report = link.meter.report(52.0)
    assert report.offered_bps(0, 1) == pytest.approx(1_600_000)
    assert report.offered_bps(1, 2) == 0
    assert report.delivered_bps(0, 1) == pytest.approx(800_000, rel=0.02)
    assert report.delivered_bps(1, 2) == pytest.approx(800_000, rel=0.02)
    assert report.max_queue_seconds(0, 0.5) == pytest.approx(0.25, abs=0.01)
    assert (report.total.offered_packets, report.total.delivered_packets) == (200, 200)
    assert sum(each.delivered_bytes for each in report.intervals) == 200 * SIZE_BYTES


def lost_numbers(arrivals: list[tuple[float, int]]) -> list[int]:
    """The numbers of the packets that have not arrived."""
    return sorted(set(range(PACKETS)) - {number for _, number in arrivals})


def runs(lost: list[int]) -> Iterator[int]:
    """The first number of each run of consecutive ones."""
    for index, number in enumerate(lost):
        if index == 0 or lost[index - 1] != number - 1:
            yield number
