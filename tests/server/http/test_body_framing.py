"""The framing of request bodies: declared lengths and chunks."""

import pytest

from stagebook.server.http.body_framing import (
    CHUNK_LINE_LIMIT_BYTES,
    CHUNKS_PER_CALL,
    MAXIMUM_CHUNKS,
    TRAILER_LIMIT_BYTES,
    ChunkedBody,
    LengthBody,
)
from stagebook.server.http.request_head import HEAD_LIMIT_BYTES, HttpRequestError

CHUNKS = b"5\r\nhello\r\n1;name=value\r\n \r\n00a \r\nbeautiful \r\n5\r\nworld\r\n0\r\nX-Trailer: y\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\n"


def decode(body: ChunkedBody | LengthBody, data: bytes, *, read_size_bytes: int) -> tuple[bytes, bytes]:
    """Return the body, and the bytes behind it."""
    received = bytearray()
    decoded = b""
    for start in range(0, len(data), read_size_bytes):
        received += data[start : start + read_size_bytes]
        while not body.is_complete:
            part = body.decode(received)
            decoded += part
            if body.needs_input:
                break
    return decoded, bytes(received)


@pytest.mark.parametrize("read_size_bytes", [1, 2, 3, 7, 1_000])
def test_a_chunked_body_is_decoded_for_any_division_of_the_input(read_size_bytes: int) -> None:
    body = ChunkedBody(head_size_bytes=100)
    assert decode(body, CHUNKS + NEXT, read_size_bytes=read_size_bytes) == (b"hello beautiful world", NEXT)
    assert body.is_complete


@pytest.mark.parametrize("read_size_bytes", [1, 4, 1_000])
def test_a_body_with_a_length_is_decoded_for_any_division_of_the_input(read_size_bytes: int) -> None:
    body = LengthBody(5)
    assert decode(body, b"hello" + NEXT, read_size_bytes=read_size_bytes) == (b"hello", NEXT)


def test_an_empty_body_is_complete() -> None:
    assert LengthBody(0).is_complete


def test_a_call_decodes_a_bounded_number_of_chunks() -> None:
    body = ChunkedBody(head_size_bytes=100)
    received = bytearray(b"1\r\nx\r\n" * 1_000)
    assert 0 < len(body.decode(received)) <= CHUNKS_PER_CALL
    assert not body.needs_input
    assert len(received) >= 6 * (1_000 - CHUNKS_PER_CALL)


def test_the_number_of_chunks_has_a_limit() -> None:
    within = b"1\r\nx\r\n" * MAXIMUM_CHUNKS + b"0\r\n\r\n"
    assert decode(ChunkedBody(head_size_bytes=100), within, read_size_bytes=65_536) == (b"x" * MAXIMUM_CHUNKS, b"")
    with pytest.raises(HttpRequestError) as caught:
        decode(ChunkedBody(head_size_bytes=100), b"1\r\nx\r\n" + within, read_size_bytes=65_536)
    assert caught.value.status == 413


@pytest.mark.parametrize("head_size_bytes", [100, HEAD_LIMIT_BYTES - 500])
@pytest.mark.parametrize("trailers", [b"X: y\r\n" * 20_000, b"X: " + b"y" * 100_000], ids=["many", "long"])
@pytest.mark.parametrize("read_size_bytes", [100, 65_536])
def test_trailers_count_towards_the_limit_of_the_head(
    head_size_bytes: int, trailers: bytes, read_size_bytes: int
) -> None:
    body = ChunkedBody(head_size_bytes=head_size_bytes)
    with pytest.raises(HttpRequestError) as caught:
        decode(body, b"0\r\n" + trailers, read_size_bytes=read_size_bytes)
    assert caught.value.status == 431


def test_trailers_up_to_the_limit_are_discarded() -> None:
    trailers = b"X: " + b"y" * (TRAILER_LIMIT_BYTES - 5) + b"\r\n"
    body = ChunkedBody(head_size_bytes=100)
    assert decode(body, b"0\r\n" + trailers + b"\r\n" + NEXT, read_size_bytes=65_536) == (b"", NEXT)


@pytest.mark.parametrize(
    "chunks",
    [
        b"\r\n",
        b"x\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"1_0\r\n",
        b" 5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX\r\n",
        b"f" * 13 + b"\r\n",
        b"5;" + b"e" * (CHUNK_LINE_LIMIT_BYTES + 1),
        b"5;a\nhello\r\n0\r\n\r\n",
        b"5;a\r5\r\nhello\r\n",
        b"0;\n\r\n\r\n",
        b"0\r\nX: y\nGET / HTTP/1.1\r\n\r\n",
        b"0\r\nX: y\r\r\n\r\n",
        b"0\r\nno field\r\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nX: \0\r\n\r\n",
    ],
)
def test_malformed_chunks_are_refused(chunks: bytes) -> None:
    with pytest.raises(HttpRequestError) as caught:
        decode(ChunkedBody(head_size_bytes=100), chunks, read_size_bytes=1_000)
    assert caught.value.status == 400
