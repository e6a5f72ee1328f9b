"""The header of Enhanced RTMP: extensions, FourCC, tracks."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.flv.enhanced_header import EnhancedPacket, PacketType, read_enhanced
from stagebook.media.port import IngestFault

MULTITRACK = 6


def _read(*parts: bytes) -> EnhancedPacket | None:
    return read_enhanced(b"".join(parts), multitrack=MULTITRACK)


def _expect(packet: EnhancedPacket | None, *, packet_type: int, fourcc: bytes, body: bytes) -> None:
    assert packet is not None
    assert (packet.packet_type, packet.fourcc, bytes(packet.body)) == (packet_type, fourcc, body)


def _sized(track_id: int, body: bytes) -> bytes:
    return bytes([track_id]) + len(body).to_bytes(3) + body


def test_a_plain_message_names_its_codec() -> None:
    _expect(_read(b"\x91", b"avc1", b"data"), packet_type=PacketType.CODED_FRAMES, fourcc=b"avc1", body=b"data")
    _expect(_read(b"\x92", b"mp4a"), packet_type=PacketType.SEQUENCE_END, fourcc=b"mp4a", body=b"")


@pytest.mark.parametrize("size", [1, 3, 255, 256, 300])
def test_extensions_of_any_size_are_stepped_over(size: int) -> None:
    encoded = bytes([size - 1]) if size < 256 else b"\xff" + (size - 1).to_bytes(2)
    extension = encoded + bytes(size)
    packet = _read(b"\x97", extension, b"\x07", extension, b"\x01", b"avc1", b"data")
    _expect(packet, packet_type=PacketType.CODED_FRAMES, fourcc=b"avc1", body=b"data")


def test_one_track_has_no_size() -> None:
    packet = _read(b"\x96", b"\x01", b"avc1", b"\x00", b"data")
    _expect(packet, packet_type=PacketType.CODED_FRAMES, fourcc=b"avc1", body=b"data")


def test_the_default_track_is_found_among_many() -> None:
    packet = _read(b"\x96", b"\x11", b"avc1", _sized(2, b"two"), _sized(0, b"zero"), _sized(1, b"one"))
    _expect(packet, packet_type=PacketType.CODED_FRAMES, fourcc=b"avc1", body=b"zero")


def test_each_of_many_tracks_may_have_a_codec_of_its_own() -> None:
    packet = _read(b"\x96", b"\x20", b"hvc1", _sized(1, b"one"), b"avc1", _sized(0, b"zero"))
    _expect(packet, packet_type=PacketType.SEQUENCE_START, fourcc=b"avc1", body=b"zero")


def test_other_tracks_are_nothing_to_us() -> None:
    assert _read(b"\x96", b"\x01", b"hvc1", b"\x01", b"data") is None
    assert _read(b"\x96", b"\x11", b"avc1", _sized(1, b"one"), _sized(2, b"")) is None


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"\x91avc", "cut short"),
        (b"\x97", "cut short"),
        (b"\x97\x02ab", "cut short"),
        (b"\x97\xff\x01", "cut short"),
        (b"\x96", "cut short"),
        (b"\x96\x01avc1", "cut short"),
        (b"\x96\x11avc1\x00\x00\x00\x05data", "cut short"),
        (b"\x96\x06avc1\x00", "tracks within tracks"),
        (b"\x96\x31avc1\x00", "unknown way"),
        (b"\x97" + 9 * b"\x00\x00\x07", "more than 8 extensions"),
        (b"\x96\x11avc1" + 17 * b"\x01\x00\x00\x00", "more than 16 tracks"),
    ],
)
def test_a_broken_header_is_bad_input(message: bytes, words: str) -> None:
    with pytest.raises(InputFaultError, match=words) as caught:
        _read(message)
    assert caught.value.fault is IngestFault.INPUT


@given(st.binary(min_size=1, max_size=60), st.sampled_from([5, 6]), st.sampled_from([5, 6, 7]))
def test_noise_is_read_or_refused(noise: bytes, multitrack: int, packet_type: int) -> None:
    with suppress(InputFaultError):
        packet = read_enhanced(bytes([0x90 | packet_type]) + noise, multitrack=multitrack)
        assert packet is None or len(packet.fourcc) == 4
