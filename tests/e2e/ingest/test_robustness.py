"""Slow and hostile connections do not affect other encoders, and a short bitrate spike does not end a stream."""

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
from tests.e2e.ingest.ingest_handle import IngestHandle, run_ingest_server, watch
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import DEADLINE_SECONDS, StageHandle
from tests.e2e.server import RunningServer

QUOTA_BPS = 1_000_000
CONNECTIONS = 6
STALL_SECONDS = 3.0
"""Longer than a busy machine delays a frame, and shorter than any timeout that could end a stall."""
SPIKES = {
    "INPUT": "-re -f lavfi -i color=gray:size=640x360:rate=15,noise=alls=100 -f lavfi -i sine=frequency=440 -t 4",
    "H264": "-c:v libx264 -preset ultrafast -tune zerolatency -qp 8 -g 45",
    "AAC": AAC,
}
"""A still image of noise: one very large keyframe every three seconds, and very small frames between them."""

Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def limited_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with short timeouts and low limits."""
    with run_ingest_server(
        tmp_path_factory.mktemp("limited") / "data",
        rtmp_connect_timeout_seconds="2",
        rtmp_connections_per_address_limit=str(CONNECTIONS),
        quota_overrides=f"publish_bitrate_bps={QUOTA_BPS},publish_bitrate_window_seconds=2",
    ) as server:
        yield server
    # Whatever a client sends, it is not an error of the server.
    assert "level=error" not in server.log, server.log


@pytest.fixture
async def limited_ingest(limited_server: RunningServer, ingests: list[IngestHandle]) -> IngestHandle:
    ingests.append(await IngestHandle.create(StageHandle(limited_server)))
    return ingests[0]


async def test_a_bitrate_spike_does_not_end_the_stream(limited_ingest: IngestHandle, tmp_path: Path) -> None:
    encoder = await limited_ingest.start(PUBLISH, variables=SPIKES)
    await encoder.wait_until_ended()
    await limited_ingest.expect_events("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    assert "Server error" not in encoder.errors
    sizes_bits = await packet_sizes_bits(limited_ingest, tmp_path / "spikes.flv")
    assert max(sizes_bits) > QUOTA_BPS


async def packet_sizes_bits(ingest: IngestHandle, path: Path) -> list[int]:
    """Return the sizes of the video frames of a stream with SPIKES."""
    encoder = await ingest.start(
        'ffmpeg $INPUT $H264 $AAC -t 1 -f flv "$FILE"', variables={**SPIKES, "FILE": str(path)}
    )
    await encoder.wait_until_ended()
    with av.open(str(path)) as container:
        return [packet.size * 8 for packet in container.demux(video=0)]


@asynccontextmanager
async def connection(ingest: IngestHandle, protocol: str) -> AsyncIterator[Stream]:
    """Open a TCP connection to the RTMP or RTMPS port."""
    url = urlsplit(ingest.urls[protocol])
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def wait_until_closed(reader: asyncio.StreamReader) -> None:
    """Wait until the server closes the connection, and ignore what it sends before."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            while await reader.read(4_096):
                pass
        except ConnectionError:
            return


async def send_nothing(stream: Stream) -> None:
    await wait_until_closed(stream[0])


async def send_single_bytes(stream: Stream) -> None:
    reader, writer = stream
    closed = asyncio.ensure_future(wait_until_closed(reader))
    while not closed.done():
        writer.write(b"\x03")
        await asyncio.sleep(0.05)
    await closed


async def send_random_bytes(stream: Stream) -> None:
    reader, writer = stream
    writer.write(os.urandom(200_000))
    await wait_until_closed(reader)


async def perform_handshake(stream: Stream) -> None:
    """Perform the RTMP handshake as a client (RTMP 1.0 section 5.2)."""
    reader, writer = stream
    writer.write(b"\x03" + bytes(1_536))
    server = await asyncio.wait_for(reader.readexactly(1 + 2 * 1_536), DEADLINE_SECONDS)
    writer.write(server[1 : 1 + 1_536])


async def send_random_bytes_after_the_handshake(stream: Stream) -> None:
    await perform_handshake(stream)
    await send_random_bytes(stream)


async def announce_large_messages(stream: Stream) -> None:
    """Set the maximum chunk size, and begin a message of the maximum length on each of 60 chunk streams."""
    await perform_handshake(stream)
    reader, writer = stream
    writer.write(bytes.fromhex("02000000 000004 01 00000000 7fffffff"))
    for number in range(3, 63):
        writer.write(bytes((number,)) + bytes.fromhex("000000 ffffff 09 01000000") + bytes(100))
    await wait_until_closed(reader)


HOSTILE_CLIENTS: list[tuple[str, Callable[[Stream], Awaitable[None]]]] = [
    ("RTMP", send_nothing),
    ("RTMP", send_single_bytes),
    ("RTMP", send_random_bytes),
    ("RTMP", send_random_bytes_after_the_handshake),
    ("RTMP", announce_large_messages),
    ("RTMPS", send_nothing),
    ("RTMPS", send_single_bytes),
    ("RTMPS", send_random_bytes),
]


async def expect_steady_video(viewer: Viewer, during: "asyncio.Future[None]") -> None:
    """Check that each frame arrives soon after the previous one, until `during` is done."""
    while not during.done():
        async with asyncio.timeout(STALL_SECONDS):
            await viewer.wait_for_more_frames(1)
    await during


async def run_client(ingest: IngestHandle, protocol: str, behave: Callable[[Stream], Awaitable[None]]) -> None:
    """Open a connection and run one hostile client on it."""
    async with connection(ingest, protocol) as stream:
        await behave(stream)


async def test_hostile_connections_are_closed_and_do_not_affect_a_stream(
    limited_ingest: IngestHandle, peers: Peers
) -> None:
    await limited_ingest.publish(variables=VIEWED)
    viewer = await watch(peers, limited_ingest)

    async def run_clients() -> None:
        for start in range(0, len(HOSTILE_CLIENTS), CONNECTIONS - 1):
            group = HOSTILE_CLIENTS[start : start + CONNECTIONS - 1]
            await asyncio.gather(*(run_client(limited_ingest, protocol, behave) for protocol, behave in group))

    await expect_steady_video(viewer, asyncio.ensure_future(run_clients()))
    await limited_ingest.expect_events("JOINED", "PUBLISH_STARTED")


async def test_the_connections_of_one_address_are_limited(limited_ingest: IngestHandle, peers: Peers) -> None:
    await limited_ingest.publish(variables=VIEWED)
    viewer = await watch(peers, limited_ingest)
    async with AsyncExitStack() as idle:
        held = [await idle.enter_async_context(connection(limited_ingest, "RTMP")) for _ in range(CONNECTIONS - 1)]
        for protocol in limited_ingest.urls:
            async with connection(limited_ingest, protocol) as (reader, _):
                await wait_until_closed(reader)
        assert not any(reader.at_eof() for reader, _ in held)
    await viewer.wait_for_more_frames()
    other = await IngestHandle.create(limited_ingest.stage)
    try:
        await other.publish()
    finally:
        await other.close()
