"""The chunk reader: the examples of the specification, chunks of every form that it allows, errors, and the limits."""

import random
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtmp.chunk_reader import ChunkReader
from stagebook.media.rtmp.message import Message
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_limits import RtmpLimits
from tests.media.rtmp.chunk_encoder import ChunkEncoder

LIMITS = RtmpLimits()
AUDIO, VIDEO, COMMAND = 8, 9, 20


def read(data: bytes, limits: RtmpLimits = LIMITS) -> list[Message]:
    return ChunkReader(limits).receive(data)


def split(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        size = next(sizes)
        yield data[position : position + size]
        position += size


def test_the_audio_example_of_the_specification() -> None:
    """RTMP 1.0 section 5.3.2.1: four messages of 32 bytes every 20 ms, in chunks of type 0, 2, 3 and 3."""
    body = bytes(range(32))
    data = bytes.fromhex("03 0003e8 000020 08 39300000") + body
    data += bytes.fromhex("83 000014") + body
    data += bytes.fromhex("c3") + body
    data += bytes.fromhex("c3") + body
    assert read(data) == [Message(AUDIO, 12345, timestamp, body) for timestamp in (1000, 1020, 1040, 1060)]


def test_the_video_example_of_the_specification() -> None:
    """Section 5.3.2.2: 307 bytes in chunks of 128, 128 and 51."""
    body = random.Random(1).randbytes(307)
    data = bytes.fromhex("04 0003e8 000133 09 3a300000") + body[:128]
    data += b"\xc4" + body[128:256] + b"\xc4" + body[256:]
    assert read(data) == [Message(VIDEO, 12346, 1000, body)]


def test_a_chunk_of_type_1_keeps_the_message_stream_of_the_previous_message() -> None:
    data = bytes.fromhex("04 0003e8 000001 09 01000000 aa") + bytes.fromhex("44 000005 000002 08 bbcc")
    assert read(data)[1] == Message(AUDIO, 1, 1005, b"\xbb\xcc")


def test_the_delta_of_a_type_3_chunk_after_type_0_is_its_timestamp() -> None:
    """Section 5.3.1.2.4."""
    data = bytes.fromhex("04 000007 000001 09 01000000 aa") + bytes.fromhex("c4 bb")
    assert [message.timestamp for message in read(data)] == [7, 14]


def test_a_timestamp_wraps_at_32_bits() -> None:
    data = bytes.fromhex("04 ffffff 000001 09 01000000 ffffffff aa") + bytes.fromhex("84 000005 bb")
    assert [message.timestamp for message in read(data)] == [0xFFFFFFFF, 4]


def test_an_extended_timestamp_is_repeated_in_type_3_chunks() -> None:
    """Section 5.3.1.3."""
    body = bytes(200)
    data = bytes.fromhex("04 ffffff 0000c8 09 01000000 01000000") + body[:128]
    data += bytes.fromhex("c4 01000000") + body[128:]
    assert read(data) == [Message(VIDEO, 1, 0x01000000, body)]


def test_type_3_chunks_without_the_extended_timestamp_are_accepted() -> None:
    body = random.Random(2).randbytes(200)
    data = bytes.fromhex("04 ffffff 0000c8 09 01000000 01000000") + body[:128] + b"\xc4" + body[128:]
    assert read(data) == [Message(VIDEO, 1, 0x01000000, body)]


def test_a_delta_can_be_extended() -> None:
    data = bytes.fromhex("04 000001 000001 09 01000000 aa") + bytes.fromhex("84 ffffff 00ffffff bb")
    data += bytes.fromhex("c4 00ffffff cc")
    assert [message.timestamp for message in read(data)] == [1, 0x1000000, 0x1FFFFFF]


@pytest.mark.parametrize(
    ("basic", "chunk_stream_id"),
    [("02", 2), ("3f", 63), ("00 00", 64), ("00 ff", 319), ("01 0001", 320), ("01 ffff", 65599), ("01 0000", 64)],
)
def test_a_chunk_stream_id_has_one_two_or_three_bytes(basic: str, chunk_stream_id: int) -> None:
    """Section 5.3.1.1."""
    data = bytes.fromhex(basic + "000000 000001 09 01000000 aa")
    assert read(data) == [Message(VIDEO, 1, 0, b"\xaa")]
    with pytest.raises(RtmpError, match=f"chunk stream {chunk_stream_id} "):
        read(bytes([bytes.fromhex(basic)[0] | 0xC0]) + bytes.fromhex(basic)[1:])


def test_a_chunk_stream_id_may_change_its_form() -> None:
    body = bytes(range(200))
    data = bytes.fromhex("00 05 000000 0000c8 09 01000000") + body[:128] + bytes.fromhex("c1 0500") + body[128:]
    assert read(data) == [Message(VIDEO, 1, 0, body)]


def test_chunks_of_several_chunk_streams_may_be_interleaved() -> None:
    video, audio = bytes(range(200)), b"audio"
    data = bytes.fromhex("06 000000 0000c8 09 01000000") + video[:128]
    data += bytes.fromhex("04 000000 000005 08 01000000") + audio
    data += b"\xc6" + video[128:]
    assert read(data) == [Message(AUDIO, 1, 0, audio), Message(VIDEO, 1, 0, video)]


def test_a_chunk_size_applies_from_the_next_chunk_on_also_within_a_message() -> None:
    body = random.Random(3).randbytes(600)
    data = bytes.fromhex("06 000000 000258 09 01000000") + body[:128]
    data += ChunkEncoder().set_chunk_bytes(400)
    data += b"\xc6" + body[128:528] + b"\xc6" + body[528:]
    assert read(data) == [Message(VIDEO, 1, 0, body)]


def test_an_abort_discards_the_incomplete_message() -> None:
    """Section 5.4.2. The next chunk on that chunk stream begins a new message."""
    data = bytes.fromhex("06 000000 0000c8 09 01000000") + bytes(128)
    data += bytes.fromhex("02 000000 000004 02 00000000 00000006")
    data += bytes.fromhex("46 000009 000001 09 aa")
    assert read(data) == [Message(VIDEO, 1, 9, b"\xaa")]


def test_an_abort_without_an_incomplete_message_is_ignored() -> None:
    data = bytes.fromhex("02 000000 000004 02 00000000 00000006") * 2
    assert read(data + bytes.fromhex("06 000000 000001 09 01000000 aa")) == [Message(VIDEO, 1, 0, b"\xaa")]


def test_a_message_may_be_empty() -> None:
    assert read(bytes.fromhex("06 000000 000000 09 01000000 c6")) == [Message(VIDEO, 1, 0, b"")] * 2


def test_a_chunk_stream_may_begin_with_type_1() -> None:
    """As librtmp sends its pings."""
    assert read(bytes.fromhex("42 000003 000002 04 0001")) == [Message(4, 0, 3, b"\0\1")]


@pytest.mark.parametrize("first", ["83 000000", "c3"])
def test_a_chunk_stream_cannot_begin_with_type_2_or_3(first: str) -> None:
    with pytest.raises(RtmpError, match="chunk stream 3 begins with a chunk of type"):
        read(bytes.fromhex(first))


def test_a_message_cannot_begin_before_the_previous_one_is_complete() -> None:
    data = bytes.fromhex("06 000000 0000c8 09 01000000") + bytes(128)
    with pytest.raises(RtmpError, match="a message begins on chunk stream 6 before the previous one is complete"):
        read(data + bytes.fromhex("06 000000 000001 09 01000000 aa"))


@pytest.mark.parametrize("size", [0, 1, 127, 0x80000000, 0xFFFFFFFF])
def test_a_chunk_size_is_128_to_0x7fffffff(size: int) -> None:
    """Section 5.4.1: it should be at least 128. Small chunks would cost the server more than the sender."""
    with pytest.raises(RtmpError, match=f"a chunk size must be 128 to 2147483647, not {size}"):
        read(ChunkEncoder().message(Message(1, 0, 0, size.to_bytes(4)), 2))


@pytest.mark.parametrize("length", [0, 3, 5, 10_000])
def test_a_set_chunk_size_message_has_4_bytes(length: int) -> None:
    with pytest.raises(RtmpError, match=f"a Set Chunk Size message has 4 bytes, not {length}"):
        read(ChunkEncoder().message(Message(1, 0, 0, b"\x01" * length), 2))


@pytest.mark.parametrize("payload", ["", "000001", "0000000001"])
def test_an_abort_message_has_4_bytes(payload: str) -> None:
    with pytest.raises(RtmpError, match="an Abort message has 4 bytes"):
        read(ChunkEncoder().message(Message(2, 0, 0, bytes.fromhex(payload)), 2))


@pytest.mark.parametrize(("type_id", "max_bytes"), [(VIDEO, 300), (AUDIO, 300), (22, 300), (COMMAND, 200), (4, 200)])
def test_a_message_that_is_too_long_is_an_error_at_its_header(type_id: int, max_bytes: int) -> None:
    limits = RtmpLimits(max_message_bytes=300, max_command_bytes=200)
    header = bytes.fromhex("06 000000") + (max_bytes + 1).to_bytes(3) + bytes([type_id]) + bytes(4)
    with pytest.raises(RtmpError, match=f"has {max_bytes + 1} bytes; at most {max_bytes} are allowed"):
        read(header, limits)
    longest = Message(type_id, 0, 0, bytes(max_bytes))
    assert read(ChunkEncoder().message(longest), limits) == [longest]


@pytest.mark.parametrize("type_id", [15, 16, 18, 19])
@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_a_data_message_that_is_too_long_is_skipped(type_id: int, size: int) -> None:
    limits = RtmpLimits(max_command_bytes=200)
    encoder = ChunkEncoder()
    before, after = Message(VIDEO, 1, 7, b"before"), Message(VIDEO, 1, 9, b"after")
    data = encoder.message(before, 6)
    data += encoder.message(Message(type_id, 1, 8, bytes(0xFFFF)), 4)
    data += encoder.message(Message(type_id, 1, 8, b"short"), 4) + encoder.message(after, 6)
    reader = ChunkReader(limits)
    messages = [message for part in split(data, iter(lambda: size, 0)) for message in reader.receive(part)]
    assert messages == [before, Message(type_id, 1, 8, b"short"), after]


def test_a_skipped_message_may_be_interleaved_and_aborted() -> None:
    limits = RtmpLimits(max_command_bytes=200)
    data = bytes.fromhex("04 000000 ffffff 12 01000000") + bytes(128)
    data += bytes.fromhex("06 000000 000001 09 01000000 aa")
    data += b"\xc4" + bytes(128)
    data += bytes.fromhex("02 000000 000004 02 00000000 00000004")
    data += bytes.fromhex("44 000009 000001 09 bb")
    assert [message.payload for message in read(data, limits)] == [b"\xaa", b"\xbb"]


def test_a_skipped_message_is_not_kept() -> None:
    reader = ChunkReader(RtmpLimits(max_command_bytes=200))
    reader.receive(bytes.fromhex("04 000000 ffffff 12 01000000") + bytes(128))
    tracemalloc.start()
    for _ in range(8_000):
        reader.receive(b"\xc4" + bytes(128))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20_000


def test_the_number_of_chunk_streams_is_limited() -> None:
    limits = RtmpLimits(max_chunk_streams=3)
    reader = ChunkReader(limits)
    encoder = ChunkEncoder()
    for chunk_stream_id in (3, 4, 5):
        reader.receive(encoder.message(Message(VIDEO, 1, 0, b"x"), chunk_stream_id))
    with pytest.raises(RtmpError, match="more than 3 chunk streams"):
        reader.receive(encoder.message(Message(VIDEO, 1, 0, b"x"), 6))


def test_incomplete_messages_are_limited_together() -> None:
    limits = RtmpLimits(max_message_bytes=1000, max_command_bytes=1000, max_incomplete_bytes=2000)
    reader = ChunkReader(limits)
    for chunk_stream_id in (4, 5):
        reader.receive(bytes([chunk_stream_id]) + bytes.fromhex("000000 0003e8 09 01000000") + bytes(128))
    with pytest.raises(RtmpError, match="the incomplete messages have more than 2000 bytes together"):
        reader.receive(bytes.fromhex("06 000000 000001 09 01000000"))


@pytest.mark.parametrize(
    "end",
    [
        b"".join(b"\xc6" + bytes(128) for _ in range(6)) + b"\xc6" + bytes(104),
        bytes.fromhex("420000000000040200000006"),
    ],
    ids=["complete", "aborted"],
)
def test_a_complete_or_aborted_message_does_not_count_as_incomplete(end: bytes) -> None:
    limits = RtmpLimits(max_message_bytes=1000, max_command_bytes=1000, max_incomplete_bytes=1004)
    reader = ChunkReader(limits)
    for _ in range(5):
        reader.receive(bytes.fromhex("06 000000 0003e8 09 01000000") + bytes(128) + end)


@pytest.mark.parametrize("type_id", ["01", "02"], ids=["Set Chunk Size", "Abort"])
def test_messages_that_are_applied_are_counted(type_id: str) -> None:
    reader = ChunkReader(LIMITS)
    assert reader.receive(bytes.fromhex(f"02 000000 000004 {type_id} 00000000 00000080 c2 00000080")) == []
    assert reader.applied_count == 2


@given(data=st.data())
def test_any_messages_are_read_as_they_were_written(data: st.DataObject) -> None:
    """With any chunk sizes, chunk types, forms of chunk stream ids, interleaving and sizes of reads."""
    rng = data.draw(st.randoms(use_true_random=False))
    encoder = ChunkEncoder(compresses_headers=data.draw(st.booleans()), max_id_form=data.draw(st.integers(1, 3)))
    messages = data.draw(st.lists(st.tuples(st.sampled_from([3, 4, 63, 64, 319, 320, 65599]), MESSAGES), max_size=8))
    written, complete = b"", []
    for chunk_bytes in data.draw(st.lists(CHUNK_BYTES, min_size=1, max_size=2)):
        written += encoder.set_chunk_bytes(chunk_bytes)
        more, done = encoder.interleaved(messages, rng.choice)
        written += more
        complete += done
    sizes = data.draw(st.sampled_from([(1, 1), (1, 30), (1000, 3000), (10**6, 10**6)]))
    reader = ChunkReader(LIMITS)
    read_back = [
        message for piece in split(written, iter(lambda: rng.randint(*sizes), 0)) for message in reader.receive(piece)
    ]
    assert read_back == complete


TIMESTAMPS = st.one_of(
    st.integers(0, 100), st.integers(0, 2**32 - 1), st.sampled_from([0xFFFFFE, 0xFFFFFF, 0x1000000, 2**32 - 1])
)
PAYLOADS = st.one_of(
    st.binary(max_size=300), st.integers(0, 3000).map(lambda size: random.Random(size).randbytes(size))
)
CHUNK_BYTES = st.one_of(st.integers(128, 300), st.sampled_from([4096, 60000, 0x7FFFFFFF]))
MESSAGES = st.builds(
    Message, st.sampled_from([AUDIO, VIDEO, 15, 18, COMMAND, 99]), st.integers(0, 3), TIMESTAMPS, PAYLOADS
)


@given(st.binary(max_size=600), st.integers(1, 50))
def test_random_bytes_are_read_alike_whatever_the_sizes_of_the_reads(data: bytes, size: int) -> None:
    """The messages and the error do not depend on how the bytes are split."""

    def outcome(parts: Iterator[bytes]) -> tuple[list[Message], str | None]:
        reader, messages = ChunkReader(LIMITS), list[Message]()
        try:
            for part in parts:
                messages += reader.receive(part)
        except RtmpError as error:
            return [], error.detail
        return messages, None

    assert outcome(iter([data])) == outcome(split(data, iter(lambda: size, 0)))
