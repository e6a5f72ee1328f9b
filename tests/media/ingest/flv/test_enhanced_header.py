"""The header of Enhanced RTMP messages: extensions, FourCC and tracks."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.flv.enhanced_header import EnhancedPacket, PacketType, default_track, read_enhanced_header
from stagebook.media.port import IngestFault

MULTITRACK = 6


def read(*parts: bytes) -> EnhancedPacket | None:
    """The packet of track 0."""
    return default_track(read_enhanced_header(b"".join(parts), multitrack=MULTITRACK))


def expect(packet: EnhancedPacket | None, *, packet_type: int, fourcc: bytes, body: bytes) -> None:
    assert packet is not None
    assert (packet.packet_type, packet.fourcc, bytes(packet.body)) == (packet_type, fourcc, body)


def sized_track(track_id: int, body: bytes) -> bytes:
    return bytes([track_id]) + len(body).to_bytes(3) + body


def test_a_message_with_one_track_names_its_codec() -> None:
    expect(read(b"\x91", b"avc1", b"data"), packet_type=PacketType.CODED_FRAMES, fourcc=b"avc1", body=b"data")
    expect(read(b"\x92", b"mp4a"), packet_type=PacketType.SEQUENCE_END, fourcc=b"mp4a", body=b"")


@pytest.mark.parametrize("size", [1, 3, 255, 256, 300])
def test_extensions_of_any_size_are_skipped(size: int) -> None:
    encoded = bytes([size - 1]) if size < 256 else b"\xff" + (size - 1).to_bytes(2)
    extension = encoded + bytes(size)
    packet = read(b"\x97", extension, b"\x07", extension, b"\x01", b"avc1", b"data")
    expect(packet, packet_type=PacketType.CODED_FRAMES, fourcc=b"avc1", body=b"data")


def test_a_multitrack_packet_with_one_track_has_no_size() -> None:
    packet = read(b"\x96", b"\x01", b"avc1", b"\x00", b"data")
    expect(packet, packet_type=PacketType.CODED_FRAMES, fourcc=b"avc1", body=b"data")


def test_track_0_is_found_among_several_tracks() -> None:
    packet = read(b"\x96", b"\x11", b"avc1", sized_track(2, b"two"), sized_track(0, b"zero"), sized_track(1, b"one"))
    expect(packet, packet_type=PacketType.CODED_FRAMES, fourcc=b"avc1", body=b"zero")


def test_each_track_may_have_its_own_codec() -> None:
    packet = read(b"\x96", b"\x20", b"hvc1", sized_track(1, b"one"), b"avc1", sized_track(0, b"zero"))
    expect(packet, packet_type=PacketType.SEQUENCE_START, fourcc=b"avc1", body=b"zero")


def test_the_packets_of_all_tracks_are_read() -> None:
    tracks = [sized_track(2, b"two"), sized_track(0, b"zero"), sized_track(255, b"")]
    packets = read_enhanced_header(b"\x96\x11avc1" + b"".join(tracks), multitrack=MULTITRACK)
    assert [(packet.track_id, bytes(packet.body)) for packet in packets] == [(2, b"two"), (0, b"zero"), (255, b"")]


def test_a_message_without_track_0_is_skipped() -> None:
    assert read(b"\x96", b"\x01", b"hvc1", b"\x01", b"data") is None
    assert read(b"\x96", b"\x11", b"avc1", sized_track(1, b"one"), sized_track(2, b"")) is None


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"\x91avc", "truncated"),
        (b"\x97", "truncated"),
        (b"\x97\x02ab", "truncated"),
        (b"\x97\xff\x01", "truncated"),
        (b"\x96", "truncated"),
        (b"\x96\x01avc1", "truncated"),
        (b"\x96\x11avc1\x00\x00\x00\x05data", "truncated"),
        (b"\x96\x06avc1\x00", "within a multitrack packet"),
        (b"\x96\x31avc1\x00", "unknown multitrack type"),
        (b"\x97" + 9 * b"\x00\x00\x07", "more than 8 extensions"),
        (b"\x96\x11avc1" + 17 * b"\x01\x00\x00\x00", "more than 16 tracks"),
    ],
)
def test_a_broken_header_is_an_input_fault(message: bytes, error: str) -> None:
    with pytest.raises(InputFaultError, match=error) as caught:
        read(message)
    assert caught.value.fault is IngestFault.INPUT


@given(st.binary(min_size=1, max_size=60), st.sampled_from([5, 6]), st.sampled_from([5, 6, 7]))
def test_random_bytes_are_read_or_refused(payload: bytes, multitrack: int, packet_type: int) -> None:
    with suppress(InputFaultError):
        packets = read_enhanced_header(bytes([0x90 | packet_type]) + payload, multitrack=multitrack)
        assert all(len(packet.fourcc) == 4 for packet in packets)
