"""The chunk writer: exact bytes, and round trips through the chunk reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtmp.chunk_reader import ChunkReader
from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_limits import RtmpLimits


def test_a_short_message_is_one_chunk_with_a_full_header() -> None:
    """RTMP 1.0 section 5.3.1.2.1. The message stream id is little-endian."""
    written = write_message(Message(20, 1, 5, b"abc"), chunk_stream_id=3, chunk_bytes=128)
    assert written == bytes.fromhex("03 000005 000003 14 01000000") + b"abc"


def test_a_long_message_continues_in_chunks_of_type_3() -> None:
    written = write_message(Message(20, 0, 0, b"abcde"), chunk_stream_id=3, chunk_bytes=2)
    assert written == bytes.fromhex("03 000000 000005 14 00000000") + b"ab" + b"\xc3cd" + b"\xc3e"


def test_a_message_that_fills_its_chunks_is_not_followed_by_an_empty_chunk() -> None:
    written = write_message(Message(20, 0, 0, b"abcd"), chunk_stream_id=3, chunk_bytes=2)
    assert written.endswith(b"ab\xc3cd")


def test_an_extended_timestamp_is_repeated_in_each_chunk() -> None:
    written = write_message(Message(20, 0, 0xFFFFFF, b"abc"), chunk_stream_id=3, chunk_bytes=2)
    assert (
        written == bytes.fromhex("03 ffffff 000003 14 00000000 00ffffff") + b"ab" + bytes.fromhex("c3 00ffffff") + b"c"
    )


@pytest.mark.parametrize(
    ("chunk_stream_id", "basic"),
    [(2, "02"), (63, "3f"), (64, "0000"), (319, "00ff"), (320, "010001"), (65599, "01ffff")],
)
def test_a_chunk_stream_id_is_written_in_its_shortest_form(chunk_stream_id: int, basic: str) -> None:
    written = write_message(Message(20, 0, 0, b""), chunk_stream_id=chunk_stream_id, chunk_bytes=128)
    assert written == bytes.fromhex(basic) + bytes.fromhex("000000 000000 14 00000000")


@given(
    message=st.builds(
        Message, st.just(20), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=999)
    ),
    chunk_stream_id=st.integers(2, 65599),
    chunk_bytes=st.integers(128, 2000),
)
def test_any_message_is_read_as_it_was_written(message: Message, chunk_stream_id: int, chunk_bytes: int) -> None:
    reader = ChunkReader(RtmpLimits())
    size = Message(1, 0, 0, chunk_bytes.to_bytes(4))
    assert reader.receive(write_message(size, chunk_stream_id=2, chunk_bytes=128)) == []
    written = write_message(message, chunk_stream_id=chunk_stream_id, chunk_bytes=chunk_bytes)
    assert reader.receive(written) == [message]
