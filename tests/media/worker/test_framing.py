"""Messages on a real socket pair: what is sent arrives however it is cut, and nonsense is told apart from messages."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.worker.framing import BrokenStreamError, MessageReader, frame

MAX_BYTES = 64


class Word(msgspec.Struct, frozen=True, tag=True):
    text: str


class Number(msgspec.Struct, frozen=True, tag=True):
    value: int


Message = Word | Number
messages = st.one_of(st.builds(Word, st.text(max_size=10)), st.builds(Number, st.integers(-(2**63), 2**63 - 1)))


def make() -> MessageReader[Message]:
    return MessageReader(msgspec.msgpack.Decoder(Message), max_bytes=MAX_BYTES)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


async def read(data: bytes, *, piece_bytes: int = 1_000, count: int = 1) -> list[Message]:
    """So many messages out of these bytes, which come in pieces."""
    stream = asyncio.StreamReader()
    reader = make()
    reading = asyncio.create_task(_read(reader, stream, count))
    for piece in pieces(data, piece_bytes):
        stream.feed_data(piece)
        await asyncio.sleep(0)
    stream.feed_eof()
    return await reading


async def _read(reader: MessageReader[Message], stream: asyncio.StreamReader, count: int) -> list[Message]:
    return [await reader.next(stream) for _ in range(count)]


@given(sent=st.lists(messages, max_size=5), piece_bytes=st.integers(1, 30))
def test_what_is_sent_arrives_however_it_is_cut(sent: list[Message], piece_bytes: int) -> None:
    data = b"".join(frame(message, max_bytes=MAX_BYTES) for message in sent)
    assert asyncio.run(read(data, piece_bytes=piece_bytes, count=len(sent))) == sent


@pytest.mark.parametrize("text", ["x" * MAX_BYTES, "\ud800"], ids=["too large", "no Unicode"])
def test_what_cannot_be_sent_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a message of|surrogates"):
        frame(Word(text), max_bytes=MAX_BYTES)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the other end is gone"),
        (b"\0\0", "the other end is gone"),
        (b"\0\0\0\5ab", "the other end is gone"),
        (b"\xff\xff\xff\xff", "a message of 4294967295 bytes is announced; at most 64"),
        (b"\0\0\0\1\xc1", "not a message of this stream"),
        (b"\0\0\0\2\x81\xa0", "not a message of this stream"),
    ],
    ids=["the end", "no length", "cut off", "too long", "no msgpack", "another message"],
)
async def test_nonsense_and_the_end_are_told_apart_from_messages(data: bytes, why: str) -> None:
    with pytest.raises(BrokenStreamError, match=why):
        await read(data)
