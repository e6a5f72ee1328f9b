"""The hot loop: one packet to all down tracks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.ice.udp_socket import Address
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES, fan_out
from stagebook.media.rtc.srtp.srtp_session import AES128_CM_SHA1_80
from tests.media.rtc.sfu.fake_viewer import FakeViewer


def test_each_down_track_gets_the_packet_with_its_own_numbers_at_its_own_address() -> None:
    one = FakeViewer(ssrc=1, sequence_offset=10)
    two = FakeViewer(ssrc=2, sequence_offset=-20, profile=AES128_CM_SHA1_80)
    fan_out([one.down_track, two.down_track], sequence=5, marker=1, timestamp=77, payload=b"payload")
    assert one.packets == [RtpPacket(100, 1, 15, 77, 1, b"payload", b"")]
    assert two.packets == [RtpPacket(100, 1, 65521, 77, 2, b"payload", b"")]
    assert [receiver.datagrams[0][1] for receiver in (one, two)] == [("192.0.2.1", 1), ("192.0.2.1", 2)]
    counters = one.down_track.counters
    assert (counters.sent_packets, counters.sent_bytes) == (2, 2 * (12 + len(b"payload")))


def test_a_short_packet_contains_nothing_of_a_longer_packet_before_it() -> None:
    receiver = FakeViewer()
    fan_out([receiver.down_track], sequence=1, marker=0, timestamp=0, payload=b"x" * 1000)
    fan_out([receiver.down_track], sequence=2, marker=0, timestamp=0, payload=b"y")
    assert [packet.payload for packet in receiver.packets] == [b"x" * 1000, b"y"]


@settings(max_examples=30)
@given(st.integers(0, MAX_PAYLOAD_SIZE_BYTES))
def test_payloads_of_every_size_arrive_complete(size: int) -> None:
    receiver = FakeViewer()
    fan_out([receiver.down_track], sequence=1, marker=0, timestamp=0, payload=bytes(size))
    assert [len(packet.payload) for packet in receiver.packets] == [size]


@pytest.mark.parametrize("error", [BlockingIOError(), OSError(101, "Network is unreachable")])
def test_a_send_error_of_one_down_track_does_not_affect_the_others(error: OSError) -> None:
    failing, working = FakeViewer(ssrc=1), FakeViewer(ssrc=2)

    def fail(_data: memoryview, _address: Address) -> int:
        raise error

    failing.down_track.sendto = fail
    fan_out([failing.down_track, working.down_track], sequence=1, marker=0, timestamp=0, payload=b"payload")
    assert len(working.packets) == 1
    assert (failing.down_track.packets, working.down_track.packets) == (0, 1)
    counters = failing.down_track.counters
    assert (counters.sent_packets, counters.sent_bytes) == (1, 12 + len(b"payload"))


def test_a_packet_older_than_the_srtp_window_is_dropped() -> None:
    receiver = FakeViewer()
    for sequence in (5000, 1, 5001):
        fan_out([receiver.down_track], sequence=sequence, marker=0, timestamp=0, payload=b"payload")
    assert [packet.sequence for packet in receiver.packets] == [5000, 5001]
    assert receiver.down_track.counters.sent_packets == 2
