"""The hot loop: one packet to all outlets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, parse_rtp
from stagebook.media.rtc.sfu.down_track import MAX_PAYLOAD_SIZE_BYTES, Address, DownTrack, fan_out
from stagebook.media.rtc.srtp.srtp_session import (
    AEAD_AES_128_GCM,
    AES128_CM_SHA1_80,
    SrtpKeys,
    SrtpProfile,
    SrtpSession,
    keying_material_size_bytes,
)


class Receiver:
    """A viewer that keeps what is sent to it, and its outlet."""

    def __init__(self, ssrc: int = 5, *, profile: SrtpProfile = AEAD_AES_128_GCM, sequence_offset: int = 0) -> None:
        keys = SrtpKeys.from_keying_material(profile, bytes(range(keying_material_size_bytes(profile))))
        self.session = SrtpSession(keys)
        self._other_end = SrtpSession(SrtpKeys(profile=profile, client=keys.server, server=keys.client))
        self.datagrams: list[tuple[bytes, Address]] = []
        self.outlet = DownTrack(ssrc=ssrc, payload_type=100)
        self.outlet.srtp = self.session.outbound
        self.outlet.sequence_offset = sequence_offset
        self.outlet.address = ("192.0.2.1", ssrc)
        self.outlet.sendto = self.sendto

    def sendto(self, data: memoryview, address: Address) -> int:
        """What a socket would send. The memory is used again: a copy is kept."""
        self.datagrams.append((bytes(data), address))
        return len(data)

    @property
    def packets(self) -> list[RtpPacket]:
        """What arrived, decrypted. Only once: a second look would be a replay."""
        decrypted = [self._other_end.unprotect_rtp(datagram) for datagram, _ in self.datagrams]
        parsed = [parse_rtp(packet) for packet in decrypted if packet is not None]
        assert len(parsed) == len(self.datagrams)
        return [packet for packet in parsed if packet is not None]


def test_each_outlet_gets_the_packet_with_its_own_numbers_at_its_own_address() -> None:
    one = Receiver(ssrc=1, sequence_offset=10)
    two = Receiver(ssrc=2, sequence_offset=-20, profile=AES128_CM_SHA1_80)
    fan_out([one.outlet, two.outlet], sequence=5, marker=1, timestamp=77, payload=b"payload")
    assert one.packets == [RtpPacket(100, 1, 15, 77, 1, b"payload", b"")]
    assert two.packets == [RtpPacket(100, 1, 65521, 77, 2, b"payload", b"")]
    assert [receiver.datagrams[0][1] for receiver in (one, two)] == [("192.0.2.1", 1), ("192.0.2.1", 2)]


def test_a_shorter_packet_carries_nothing_of_a_longer_one_before_it() -> None:
    receiver = Receiver()
    fan_out([receiver.outlet], sequence=1, marker=0, timestamp=0, payload=b"x" * 1000)
    fan_out([receiver.outlet], sequence=2, marker=0, timestamp=0, payload=b"y")
    assert [packet.payload for packet in receiver.packets] == [b"x" * 1000, b"y"]


@settings(max_examples=30)
@given(st.integers(0, MAX_PAYLOAD_SIZE_BYTES))
def test_payloads_of_every_size_arrive_whole(size: int) -> None:
    receiver = Receiver()
    fan_out([receiver.outlet], sequence=1, marker=0, timestamp=0, payload=bytes(size))
    assert [len(packet.payload) for packet in receiver.packets] == [size]


@pytest.mark.parametrize("error", [BlockingIOError(), OSError(101, "Network is unreachable")])
def test_one_outlet_that_cannot_send_does_not_hurt_the_others(error: OSError) -> None:
    broken, whole = Receiver(ssrc=1), Receiver(ssrc=2)

    def fail(_data: memoryview, _address: Address) -> int:
        raise error

    broken.outlet.sendto = fail
    fan_out([broken.outlet, whole.outlet], sequence=1, marker=0, timestamp=0, payload=b"payload")
    assert len(whole.packets) == 1
    assert (broken.outlet.packets, whole.outlet.packets) == (0, 1)


def test_a_packet_older_than_the_window_is_left_out() -> None:
    receiver = Receiver()
    for sequence in (5000, 1, 5001):
        fan_out([receiver.outlet], sequence=sequence, marker=0, timestamp=0, payload=b"payload")
    assert [packet.sequence for packet in receiver.packets] == [5000, 5001]
