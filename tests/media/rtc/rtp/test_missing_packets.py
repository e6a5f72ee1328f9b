"""Which packets are missing, requested and lost. `test_stream_receiver` has them in a stream."""

from stagebook.media.rtc.rtp.missing_packets import MAX_MISSING_PACKETS, NACK_ATTEMPTS, MissingPackets
from stagebook.media.rtc.rtp.path_timing import PathTiming


def missing(*indexes: int) -> MissingPackets:
    """Packets that are missing at time 0."""
    packets = MissingPackets(PathTiming(), has_rtx=True)
    for index in indexes:
        packets.add(index, index + 1, 0.0)
    return packets


def test_a_packet_counts_as_lost_with_its_second_request_and_not_when_it_arrives_after_it() -> None:
    packets = missing(7, 9)
    assert packets.take_due(0.0) == [7, 9]
    assert packets.lost == 0
    assert packets.take_due(packets.next_request_at) == [7, 9]
    assert (packets.lost, packets.unrepaired) == (2, 2)
    assert packets.take_repaired(7, 1.0)
    assert (packets.lost, packets.unrepaired, packets.recovered) == (1, 2, 1)
    assert 7 not in packets
    assert 9 in packets


def test_after_its_last_request_a_packet_is_given_up_and_may_still_arrive() -> None:
    packets = missing(7)
    given_up = []
    for _ in range(NACK_ATTEMPTS):
        assert packets.take_due(packets.next_request_at) == [7]
        given_up.append(packets.given_up)
    assert packets.take_due(packets.next_request_at) == []
    assert [*given_up, packets.given_up] == [False] * NACK_ATTEMPTS + [True]
    assert packets.take_late(7, 20.0)


def test_the_packets_of_an_outage_are_lost_together_with_those_that_were_missing() -> None:
    packets = missing(1, 2)
    packets.add(4, 4 + MAX_MISSING_PACKETS, 0.0)
    assert (len(packets), packets.lost, packets.gaps) == (0, MAX_MISSING_PACKETS + 2, MAX_MISSING_PACKETS + 2)
    assert packets.given_up
    assert packets.take_due(10.0) == []


def test_a_restart_forgets_what_is_missing_and_lost() -> None:
    packets = missing(7)
    packets.take_due(0.0)
    packets.take_due(packets.next_request_at)
    packets.restart()
    assert (len(packets), packets.lost, packets.unrepaired) == (0, 0, 1)
    assert not packets.take_late(7, 2.0)
