"""The frame of an attack: it is repeated until the end of the test, whatever the server does with it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import WebSocketException

from tests.clients.rtmp_publisher import RefusedError
from tests.soak.media_peer import OfferFailedError
from tests.soak.soak_job import ATTACKER_HOST, Recorder, SoakJob

REFUSALS = (
    OSError,
    EOFError,
    TimeoutError,
    httpx.HTTPError,
    WebSocketException,
    OfferFailedError,
    RefusedError,
    asyncio.IncompleteReadError,
)
"""How the server, or a limit of it, ends an attack."""


async def repeat(
    name: str, attack: Callable[[], Awaitable[None]], job: SoakJob, recorder: Recorder, *, pause_seconds: float
) -> None:
    """Run an attack again and again until the end of the test. What ends each run is counted."""
    while not job.is_over:
        try:
            async with asyncio.timeout(max(0.1, job.end_at - time.monotonic())):
                await attack()
            ended = "completed"
        except REFUSALS as error:
            ended = type(error).__name__
        recorder.outcomes[f"{name}: {ended}"] += 1
        await asyncio.sleep(pause_seconds)


@contextlib.asynccontextmanager
async def connection(job: SoakJob) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a TCP connection to the HTTP port, and abort it at the end."""
    split = urlsplit(job.endpoint_url)
    reader, writer = await asyncio.open_connection(split.hostname, split.port, local_addr=(ATTACKER_HOST, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


class Pace:
    """Limits an attack to a rate, so that it is the server that is measured and not the attacker."""

    def __init__(self, per_second: float) -> None:
        self._interval_seconds = 1 / per_second
        self._next_at = time.monotonic()

    async def wait(self) -> None:
        """Wait until the next unit is due."""
        self._next_at = max(self._next_at + self._interval_seconds, time.monotonic() - 0.1)
        await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))


def count_status(recorder: Recorder, name: str, head: bytes) -> None:
    """Count the status in the first line of a response."""
    if head.startswith(b"HTTP/1.1 "):
        recorder.statuses[f"{name} {head[9:12].decode('ascii', 'replace')}"] += 1
