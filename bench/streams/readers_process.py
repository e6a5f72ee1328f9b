"""The readers: `python -m bench.streams.readers_process PORT COUNT` opens event streams and reads what comes."""

import asyncio
import sys
from typing import cast

import uvloop

_REQUEST = b"GET /watch/v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"


class _Reader(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(_REQUEST)


async def read_streams(port: int, count: int) -> None:
    """Open so many streams, and read them until the process is ended."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.create_connection(_Reader, "127.0.0.1", port)
    await loop.create_future()


if __name__ == "__main__":
    uvloop.run(read_streams(int(sys.argv[1]), int(sys.argv[2])))
