"""Framing: messages arrive whatever the sizes of the reads, and malformed streams raise BrokenStreamError."""

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


def make_reader() -> MessageReader[Message]:
    return MessageReader(msgspec.msgpack.Decoder(Message), max_bytes=MAX_BYTES)


def split(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


async def read(data: bytes, *, piece_bytes: int = 1_000, count: int = 1) -> list[Message]:
    """Read `count` messages from a stream that delivers `data` in pieces."""
    stream = asyncio.StreamReader()
    reading = asyncio.create_task(_read(make_reader(), stream, count))
    for piece in split(data, piece_bytes):
        stream.feed_data(piece)
        await asyncio.sleep(0)
    stream.feed_eof()
    return await reading


async def _read(reader: MessageReader[Message], stream: asyncio.StreamReader, count: int) -> list[Message]:
    return [await reader.next(stream) for _ in range(count)]


@given(sent=st.lists(messages, max_size=5), piece_bytes=st.integers(1, 30))
def test_messages_arrive_however_the_stream_is_split(sent: list[Message], piece_bytes: int) -> None:
    data = b"".join(frame(message, max_bytes=MAX_BYTES) for message in sent)
    assert asyncio.run(read(data, piece_bytes=piece_bytes, count=len(sent))) == sent


@pytest.mark.parametrize("text", ["x" * MAX_BYTES, "\ud800"], ids=["too long", "lone surrogate"])
def test_a_message_that_cannot_be_encoded_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"the message has more than 64 bytes|surrogates"):
        frame(Word(text), max_bytes=MAX_BYTES)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "the other process closed the connection"),
        (b"\0\0", "the other process closed the connection"),
        (b"\0\0\0\5ab", "the other process closed the connection"),
        (b"\xff\xff\xff\xff", "the message has 4294967295 bytes; at most 64 are allowed"),
        (b"\0\0\0\1\xc1", "the message is malformed"),
        (b"\0\0\0\2\x81\xa0", "the message is malformed"),
        (b"\0\0\0\x13\x82\xa4type\xa4Word\xa4text\xa2\xff\xff", "the message is malformed"),
    ],
    ids=["end of stream", "truncated length", "truncated body", "too long", "no msgpack", "unknown type", "no UTF-8"],
)
async def test_a_broken_stream_is_an_error(data: bytes, detail: str) -> None:
    with pytest.raises(BrokenStreamError, match=detail):
        await read(data)


async def test_a_message_that_is_nested_too_deeply_is_an_error() -> None:
    """Also in a member that the decoder skips."""
    body = b"\x83\xa4type\xa4Word\xa4text\xa0\xa4more" + b"\x91" * 50_000 + b"\xc0"
    stream = asyncio.StreamReader()
    stream.feed_data(len(body).to_bytes(4) + body)
    with pytest.raises(BrokenStreamError, match="the message is malformed: maximum recursion depth"):
        await MessageReader(msgspec.msgpack.Decoder(Message), max_bytes=100_000).next(stream)
