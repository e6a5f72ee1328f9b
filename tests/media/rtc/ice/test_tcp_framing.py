"""The frames of RFC 4571: what is written is read, however TCP cuts it, and nothing else is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtc.ice.tcp_framing import FrameReader, FrameTooLargeError, write_frames
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES

PACKETS = st.lists(st.binary(min_size=1, max_size=300), max_size=20)


@given(packets=PACKETS, cuts=st.lists(st.integers(1, 400), min_size=1, max_size=50))
def test_packets_are_read_as_they_were_written_however_the_stream_is_cut(packets: list[bytes], cuts: list[int]) -> None:
    data = write_frames(packets)
    reader = FrameReader()
    found: list[bytes] = []
    position = 0
    while position < len(data):
        size = cuts[position % len(cuts)]
        found += reader.feed(data[position : position + size])
        position += size
    assert found == packets
    assert reader.rest == b""


@given(data=st.binary(max_size=5_000), cut=st.integers(0, 5_000))
def test_a_stream_that_is_cut_is_read_like_the_whole_stream(data: bytes, cut: int) -> None:
    whole, cut_in_two = read([data]), read([data[:cut], data[cut:]])
    assert whole == cut_in_two


@given(data=st.binary(max_size=5_000))
def test_the_reader_keeps_less_than_one_frame(data: bytes) -> None:
    reader = FrameReader()
    for start in range(0, len(data), 100):
        try:
            reader.feed(data[start : start + 100])
        except FrameTooLargeError:
            return
        assert len(reader.rest) < 2 + MAX_PACKET_SIZE_BYTES


def test_null_packets_are_ignored() -> None:
    assert FrameReader().feed(b"\0\0" + b"\0\1a" + b"\0\0\0\0" + b"\0\1b") == [b"a", b"b"]


def test_the_largest_packet_is_read() -> None:
    packet = bytes(MAX_PACKET_SIZE_BYTES)
    assert FrameReader().feed(write_frames([packet])) == [packet]


@pytest.mark.parametrize("stream", [(MAX_PACKET_SIZE_BYTES + 1).to_bytes(2), b"GET / HTTP/1.1\r\n", b"\xff\xff"])
def test_a_larger_frame_is_refused_when_its_length_has_arrived(stream: bytes) -> None:
    with pytest.raises(FrameTooLargeError):
        FrameReader().feed(stream)


def read(parts: list[bytes]) -> tuple[list[bytes], bool]:
    """Return the packets, and whether a frame was too large. The packets before such a frame may be lost."""
    reader = FrameReader()
    found: list[bytes] = []
    for part in parts:
        try:
            found += reader.feed(part)
        except FrameTooLargeError:
            return [], True
    return found, False
