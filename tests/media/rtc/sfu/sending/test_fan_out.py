"""The hot loop: packets to all down tracks."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.ice.udp_socket import Address
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, extension_value
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES
from stagebook.media.rtc.sfu.sending.fan_out import fan_out
from stagebook.media.rtc.sfu.sending.sent_packet import SentPacket
from stagebook.media.rtc.srtp.srtp_session import AEAD_AES_128_GCM, AES128_CM_SHA1_80, SrtpProfile
from tests.media.rtc.operation_count import count_operations
from tests.media.rtc.sfu.fake_viewer import FakeViewer


def test_each_down_track_gets_the_packet_with_its_own_numbers_at_its_own_address() -> None:
    one = FakeViewer(ssrc=1, sequence_offset=10)
    two = FakeViewer(ssrc=2, sequence_offset=-20, profile=AES128_CM_SHA1_80)
    fan_out([one.down_track, two.down_track], [SentPacket(5, 1, 77, b"payload")], now=0.0)
    assert one.packets == [RtpPacket(100, 1, 15, 77, 1, b"payload", b"")]
    assert two.packets == [RtpPacket(100, 1, 65521, 77, 2, b"payload", b"")]
    assert [receiver.datagrams[0][1] for receiver in (one, two)] == [("192.0.2.1", 1), ("192.0.2.1", 2)]
    counters = one.down_track.counters
    assert (counters.sent_packets, counters.sent_bytes) == (2, 2 * (12 + len(b"payload")))


def test_a_short_packet_contains_nothing_of_a_longer_packet_before_it() -> None:
    receiver = FakeViewer()
    fan_out([receiver.down_track], [SentPacket(1, 0, 0, b"x" * 1000)], now=0.0)
    fan_out([receiver.down_track], [SentPacket(2, 0, 0, b"y")], now=0.0)
    assert [packet.payload for packet in receiver.packets] == [b"x" * 1000, b"y"]


@settings(max_examples=30)
@given(st.integers(0, MAX_PAYLOAD_SIZE_BYTES))
def test_payloads_of_every_size_arrive_complete(size: int) -> None:
    receiver = FakeViewer()
    fan_out([receiver.down_track], [SentPacket(1, 0, 0, bytes(size))], now=0.0)
    assert [len(packet.payload) for packet in receiver.packets] == [size]


@pytest.mark.parametrize("error", [BlockingIOError(), OSError(101, "Network is unreachable")])
def test_a_send_error_of_one_down_track_does_not_affect_the_others(error: OSError) -> None:
    failing, working = FakeViewer(ssrc=1), FakeViewer(ssrc=2)

    def fail(_data: memoryview, _address: Address) -> int:
        raise error

    failing.down_track.sendto = fail
    fan_out([failing.down_track, working.down_track], [SentPacket(1, 0, 0, b"payload")], now=0.0)
    assert len(working.packets) == 1
    assert (failing.down_track.packets, working.down_track.packets) == (0, 1)
    counters = failing.down_track.counters
    assert (counters.sent_packets, counters.sent_bytes) == (1, 12 + len(b"payload"))


def test_a_packet_older_than_the_srtp_window_is_dropped() -> None:
    receiver = FakeViewer()
    for sequence in (5000, 1, 5001):
        fan_out([receiver.down_track], [SentPacket(sequence, 0, 0, b"payload")], now=0.0)
    assert [packet.sequence for packet in receiver.packets] == [5000, 5001]
    assert receiver.down_track.counters.sent_packets == 2


def packets_of(*sizes: int) -> list[SentPacket]:
    """Packets with payloads of these sizes."""
    return [SentPacket(index, 0, 7, bytes([index]) * size) for index, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [
        ((1000, 1000, 1000, 400), [4]),
        ((400, 1000, 1000, 400), [3]),
        ((1000, 400, 1000, 1000), [2, 2]),
        ((1, 2, 3), []),
        ((3, 2, 2, 1), [2, 2]),
        ((0, 0), [2]),
    ],
)
def test_packets_of_one_size_and_a_smaller_one_behind_them_are_one_call(
    sizes: tuple[int, ...], runs: list[int]
) -> None:
    receiver = FakeViewer()
    fan_out([receiver.down_track], packets_of(*sizes), now=0.0)
    assert receiver.runs == runs
    assert [packet.payload for packet in receiver.packets] == [packet.payload for packet in packets_of(*sizes)]


@pytest.mark.parametrize("profile", [AEAD_AES_128_GCM, AES128_CM_SHA1_80])
def test_viewers_with_different_profiles_are_served_by_one_batch(profile: SrtpProfile) -> None:
    viewers = [FakeViewer(1), FakeViewer(2, profile=profile), FakeViewer(3)]
    fan_out([each.down_track for each in viewers], packets_of(900, 900, 20), now=0.0)
    for viewer in viewers:
        assert [len(packet.payload) for packet in viewer.packets] == [900, 900, 20]
    counters = viewers[0].down_track.counters
    assert (counters.sent_packets, counters.sent_bytes) == (9, 3 * (3 * 12 + 1820))


def test_a_batch_larger_than_the_buffer_and_a_run_is_sent_completely() -> None:
    receiver = FakeViewer()
    fan_out([receiver.down_track], packets_of(*[MAX_PAYLOAD_SIZE_BYTES] * 100), now=0.0)
    assert [packet.sequence for packet in receiver.packets] == list(range(100))
    assert sum(receiver.runs) == 100
    assert max(receiver.runs) * 2048 < 65_507


def test_a_packet_that_libsrtp_refuses_is_missing_from_its_batch() -> None:
    receiver = FakeViewer()
    packets = [SentPacket(sequence, 0, 0, b"payload") for sequence in (5000, 1, 5001)]
    fan_out([receiver.down_track], packets, now=0.0)
    assert [packet.sequence for packet in receiver.packets] == [5000, 5001]
    assert receiver.down_track.packets == 2


class RecordedHistory:
    """Numbers packets from 65534 on and keeps what is noted."""

    def __init__(self) -> None:
        self.added: list[tuple[int, list[int], float]] = []
        self._next = 65_534

    def take(self, count: int) -> int:
        """Number so many packets."""
        first, self._next = self._next, (self._next + count) & 0xFFFF
        return first

    def add(self, first: int, sizes: Sequence[int], now: float) -> None:
        """Keep what has been sent."""
        self.added.append((first, list(sizes), now))


def test_a_packet_alone_has_a_transport_wide_number_as_well() -> None:
    numbered, plain, history = FakeViewer(1), FakeViewer(2), RecordedHistory()
    numbered.down_track.transport, numbered.down_track.transport_extension_id = history, 14
    for sequence in range(2):
        packet = SentPacket(sequence, 1, 960, b"opus")
        fan_out([numbered.down_track, plain.down_track], [packet], now=3.0)
    received = numbered.packets
    assert [extension_value(packet.extension, 14) for packet in received] == [b"\xff\xfe", b"\xff\xff"]
    assert [packet._replace(extension=b"") for packet in received] == [
        RtpPacket(100, 1, sequence, 960, 1, b"opus", b"") for sequence in range(2)
    ]
    assert history.added == [(65_534, [40], 3.0), (65_535, [40], 3.0)]
    assert [packet.extension for packet in plain.packets] == [b"", b""]
    counters = numbered.down_track.counters
    assert (counters.sent_packets, counters.sent_bytes) == (4, 2 * (12 + 8 + 4) + 2 * (12 + 4))


def work_for(viewers: int, packets: int) -> int:
    """The operations of a batch of equal packets to so many viewers, without those of a socket."""
    down_tracks = [FakeViewer(ssrc).down_track for ssrc in range(1, viewers + 1)]
    for down_track in down_tracks:
        down_track.sendto, down_track.send_run = (lambda *_: 0), (lambda *_: 0)
    return count_operations(lambda: fan_out(down_tracks, packets_of(*[900] * packets), now=0.0))


def test_a_further_viewer_costs_little() -> None:
    assert work_for(30, 1) - work_for(10, 1) < 20 * 120
    assert work_for(30, 6) - work_for(10, 6) < 20 * 360


def test_a_viewer_with_the_extension_gets_transport_wide_numbers() -> None:
    numbered, plain, history = FakeViewer(1), FakeViewer(2), RecordedHistory()
    numbered.down_track.transport, numbered.down_track.transport_extension_id = history, 14
    for _ in range(2):
        fan_out([numbered.down_track, plain.down_track], packets_of(500, 500), now=3.0)
        for viewer in (numbered, plain):
            viewer.down_track.sequence_offset += 2
    received = numbered.packets
    values = [extension_value(packet.extension, 14) for packet in received]
    assert values == [b"\xff\xfe", b"\xff\xff", b"\x00\x00", b"\x00\x01"]
    assert [(packet.sequence, len(packet.payload)) for packet in received] == [(0, 500), (1, 500), (2, 500), (3, 500)]
    assert history.added == [(65_534, [536, 536], 3.0), (0, [536, 536], 3.0)]
    assert [len(datagram) for datagram, _ in numbered.datagrams] == [536] * 4
    assert [packet.extension for packet in plain.packets] == [b""] * 4
