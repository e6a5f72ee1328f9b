"""The load with a number of requests: how many a server gets, and what is no valid response."""

import asyncio
from collections import Counter

import pytest

from bench.cluster.counted_load import send_requests
from bench.page.responses import ResponseError

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"


async def received(response: bytes, *, count: int) -> Counter[bytes]:
    """Send requests to a server that answers each with `response` in two parts; return what it got."""
    got: Counter[bytes] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            got[line] += 1
            writer.write(response[:20])
            await writer.drain()
            writer.write(response[20:])
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await send_requests(port, [b"a\n", b"b\n"], count=count, connections=4)
    return got


async def test_the_requests_are_sent_in_rotation_and_counted() -> None:
    assert await received(OK, count=11) == {b"a\n": 6, b"b\n": 5}


async def test_another_status_ends_the_load() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await received(BUSY, count=3)
    assert caught.group_contains(ResponseError, match="503")
