"""A number of requests to one server: each keep-alive connection sends its next request after a response."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Final

from bench.page.responses import ResponseError, response_size

_RECEIVE_SIZE_BYTES: Final = 65_536
_OK: Final = b"HTTP/1.1 200"


async def send_requests(port: int, requests: Sequence[bytes], *, count: int, connections: int) -> None:
    """Send `count` requests in rotation. Raises ResponseError for a response without status 200."""
    waiting = islice(cycle(requests), count)
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_send_in_turn(port, waiting))


async def _send_in_turn(port: int, waiting: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for request in waiting:
            writer.write(request)
            response = b""
            while (size := response_size(response)) is None or len(response) < size:
                received = await reader.read(_RECEIVE_SIZE_BYTES)
                if not received:
                    raise ResponseError(f"the server closed a connection: {response[:500]!r}")
                response += received
            if not response.startswith(_OK):
                raise ResponseError(repr(response[:500]))
    finally:
        writer.close()
