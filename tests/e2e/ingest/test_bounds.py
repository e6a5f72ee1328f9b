"""One spike is no bitrate, and a slow or hostile connection never stalls the other encoders."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import av
import pytest

from tests.clients.viewer import Viewer
from tests.e2e.ingest.commands import AAC, PUBLISH, VIEWED
from tests.e2e.ingest.ingest_of_test import IngestOfTest, run_ingest_server, watch
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import DEADLINE_SECONDS, StageHandle
from tests.e2e.server import RunningServer

QUOTA_BPS = 1_000_000
CONNECTIONS = 6
STALL_SECONDS = 3.0
"""Longer than a busy machine keeps a picture; shorter than any time limit that could end a stall."""
SPIKES = {
    "INPUT": "-re -f lavfi -i color=gray:size=640x360:rate=15,noise=alls=100 -f lavfi -i sine=frequency=440 -t 4",
    "H264": "-c:v libx264 -preset ultrafast -tune zerolatency -qp 8 -g 45",
    "AAC": AAC,
}
"""A still picture of noise: a keyframe every three seconds is enormous, and what lies between is next to nothing."""

Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with little patience and room."""
    with run_ingest_server(
        tmp_path_factory.mktemp("bounded") / "data",
        rtmp_connect_timeout_seconds="2",
        rtmp_connections_per_address_limit=str(CONNECTIONS),
        quota_overrides=f"publish_bitrate_bps={QUOTA_BPS},publish_bitrate_window_seconds=2",
    ) as server:
        yield server
    # Nothing that these tests send is the server's own fault.
    assert "level=error" not in server.log, server.log


@pytest.fixture
async def bounded_ingest(bounded: RunningServer, made: list[IngestOfTest]) -> IngestOfTest:
    made.append(await IngestOfTest.make(StageHandle(bounded)))
    return made[0]


async def test_a_spike_of_bitrate_cuts_nobody(bounded_ingest: IngestOfTest, tmp_path: Path) -> None:
    encoder = await bounded_ingest.start(PUBLISH, variables=SPIKES)
    await encoder.wait_until_ended()
    await bounded_ingest.expect_events("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    assert "Server error" not in encoder.errors
    sizes_bits = await packet_sizes_bits(bounded_ingest, tmp_path / "spikes.flv")
    assert max(sizes_bits) > QUOTA_BPS


async def packet_sizes_bits(ingest: IngestOfTest, path: Path) -> list[int]:
    """Return the sizes of the pictures that SPIKES makes."""
    encoder = await ingest.start(
        'ffmpeg $INPUT $H264 $AAC -t 1 -f flv "$FILE"', variables={**SPIKES, "FILE": str(path)}
    )
    await encoder.wait_until_ended()
    with av.open(str(path)) as container:
        return [packet.size * 8 for packet in container.demux(video=0)]


@asynccontextmanager
async def connection(ingest: IngestOfTest, protocol: str) -> AsyncIterator[Stream]:
    """A TCP connection to where encoders publish."""
    url = urlsplit(ingest.urls[protocol])
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def wait_until_closed(reader: asyncio.StreamReader) -> None:
    """Wait until the server has closed; what it says first does not matter."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            while await reader.read(4_096):
                pass
        except ConnectionError:
            return


async def say_nothing(stream: Stream) -> None:
    await wait_until_closed(stream[0])


async def dribble(stream: Stream) -> None:
    reader, writer = stream
    closed = asyncio.ensure_future(wait_until_closed(reader))
    while not closed.done():
        writer.write(b"\x03")
        await asyncio.sleep(0.05)
    await closed


async def send_garbage(stream: Stream) -> None:
    reader, writer = stream
    writer.write(os.urandom(200_000))
    await wait_until_closed(reader)


async def shake_hands(stream: Stream) -> None:
    """Be an encoder up to the end of the handshake (RTMP 1.0 section 5.2)."""
    reader, writer = stream
    writer.write(b"\x03" + bytes(1_536))
    server = await asyncio.wait_for(reader.readexactly(1 + 2 * 1_536), DEADLINE_SECONDS)
    writer.write(server[1 : 1 + 1_536])


async def send_garbage_later(stream: Stream) -> None:
    await shake_hands(stream)
    await send_garbage(stream)


async def announce_much(stream: Stream) -> None:
    """Announce the largest message there is on many chunk streams at once, after the largest chunk size."""
    await shake_hands(stream)
    reader, writer = stream
    writer.write(bytes.fromhex("02000000 000004 01 00000000 7fffffff"))
    for number in range(3, 63):
        writer.write(bytes((number,)) + bytes.fromhex("000000 ffffff 09 01000000") + bytes(100))
    await wait_until_closed(reader)


HOSTILE: list[tuple[str, Callable[[Stream], Awaitable[None]]]] = [
    ("RTMP", say_nothing),
    ("RTMP", dribble),
    ("RTMP", send_garbage),
    ("RTMP", send_garbage_later),
    ("RTMP", announce_much),
    ("RTMPS", say_nothing),
    ("RTMPS", dribble),
    ("RTMPS", send_garbage),
]


async def expect_steady_pictures(viewer: Viewer, during: "asyncio.Future[None]") -> None:
    """Every picture comes soon after the one before, until something is over."""
    while not during.done():
        async with asyncio.timeout(STALL_SECONDS):
            await viewer.wait_for_more_frames(1)
    await during


async def meet(ingest: IngestOfTest, protocol: str, behave: Callable[[Stream], Awaitable[None]]) -> None:
    """Be one hostile connection from its beginning to its end."""
    async with connection(ingest, protocol) as stream:
        await behave(stream)


async def test_hostile_connections_are_ended_and_stall_nobody(bounded_ingest: IngestOfTest, peers: Peers) -> None:
    await bounded_ingest.publish(variables=VIEWED)
    viewer = await watch(peers, bounded_ingest)

    async def meet_all() -> None:
        for start in range(0, len(HOSTILE), CONNECTIONS - 1):
            together = HOSTILE[start : start + CONNECTIONS - 1]
            await asyncio.gather(*(meet(bounded_ingest, protocol, behave) for protocol, behave in together))

    await expect_steady_pictures(viewer, asyncio.ensure_future(meet_all()))
    await bounded_ingest.expect_events("JOINED", "PUBLISH_STARTED")


async def test_an_address_has_so_many_connections_and_no_more(bounded_ingest: IngestOfTest, peers: Peers) -> None:
    await bounded_ingest.publish(variables=VIEWED)
    viewer = await watch(peers, bounded_ingest)
    async with AsyncExitStack() as idle:
        held = [await idle.enter_async_context(connection(bounded_ingest, "RTMP")) for _ in range(CONNECTIONS - 1)]
        for protocol in bounded_ingest.urls:
            async with connection(bounded_ingest, protocol) as (reader, _):
                await wait_until_closed(reader)
        assert not any(reader.at_eof() for reader, _ in held)
    await viewer.wait_for_more_frames()
    other = await IngestOfTest.make(bounded_ingest.stage)
    try:
        await other.publish()
    finally:
        await other.close()
