"""Event streams over real sockets: slow readers, readers that vanish, limits, and the memory of an idle reader."""

import asyncio
import gc
import socket
import tracemalloc
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import uvloop

from stagebook.api.watch.live_tail.live_reader import QUEUE_EVENTS
from stagebook.api.watch.live_tail.tail_page import PAGE_SIZE_BYTES
from stagebook.book.event_id import position_id
from tests.api.watch.live_tail.stream_server import StreamServer, stream_server
from tests.clients.event_stream_client import EventSourceState, EventStreamConnection, event_stream

READERS = 200
MEMORY_BYTES = 20_000
BURST = 500
LARGE_COOKIE = "c" * 8_000
START = position_id(0)
UNREAD_SIZE_BYTES = 160 * 1_024
"""More than the buffers of a stream that is not read: those of the two sockets, a part and a page."""


class UnreadStream:
    """A stream whose client has small buffers and reads when it is told to."""

    def __init__(self, server: StreamServer, state: EventSourceState) -> None:
        self._state = state
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        last = f"Last-Event-ID: {state.last_event_id}\r\n" if state.last_event_id else ""
        head = f"GET /watch/v1/events/stream HTTP/1.1\r\nHost: x\r\n{last}Cookie: {LARGE_COOKIE}\r\n\r\n"
        self.socket.sendall(head.encode())

    async def read_to_the_end(self) -> None:
        """Read everything that is left, now with a large buffer."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_048_576)
        reader, writer = await asyncio.open_connection(sock=self.socket)
        connection = EventStreamConnection(reader, self._state)
        connection.request("/", {})
        while await connection.read():
            pass
        writer.close()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


async def until_slow(server: StreamServer, reads: int) -> None:
    """Append until the only reader is disconnected as too slow."""
    while server.live.is_anybody_live:
        assert len(server.recorded_ids()) < 100 * BURST, "the reader is never too slow"
        await server.append(BURST)
        await asyncio.sleep(0)
    assert server.history.reads == reads


async def test_a_slow_reader_is_disconnected_with_its_position_and_resumes(tmp_path: Path) -> None:
    async with stream_server(tmp_path) as server:
        client = EventSourceState()
        slow = UnreadStream(server, client)
        await server.until_readers(1)
        await until_slow(server, reads=0)
        recorded = server.recorded_ids()
        assert len(recorded) > QUEUE_EVENTS
        await slow.read_to_the_end()
        assert client.disconnects == ["TOO_SLOW"]
        assert client.ids == recorded[: len(client.ids)]
        assert len(client.ids) < len(recorded)
        await server.until_readers(0)
        async with event_stream(server.url, client) as connection:
            while client.ids[-1] != recorded[-1]:
                assert await connection.read()
        assert client.ids == recorded


async def test_the_past_is_read_at_the_pace_of_the_client(tmp_path: Path) -> None:
    async with stream_server(tmp_path) as server:
        for _ in range(4):
            await server.append(BURST)
        recorded = server.recorded_ids()
        client = EventSourceState(START)
        slow = UnreadStream(server, client)
        await server.until_readers(1)
        reads, polls = server.history.reads, 0
        while polls < 10:  # a page may take long to read when the machine is busy
            await asyncio.sleep(0.1)
            polls = polls + 1 if reads == server.history.reads else 0
            reads = server.history.reads
        assert reads <= UNREAD_SIZE_BYTES // PAGE_SIZE_BYTES
        ending = asyncio.create_task(server.live.end())
        await slow.read_to_the_end()
        await ending
        # The end of the server comes between two pages.
        assert client.ids == recorded[: len(client.ids)]
        assert client.disconnects == ["STOPPING"]
        assert server.history.reads == reads


async def test_a_client_that_reads_nothing_is_disconnected_after_the_timeout(tmp_path: Path) -> None:
    async with stream_server(tmp_path, timeout_seconds=1) as server:
        await server.append(10 * BURST)
        slow = UnreadStream(server, EventSourceState(START))
        await server.until_readers(1)
        await server.until_readers(0)
        slow.close()


async def test_a_client_that_leaves_while_nothing_happens_frees_its_place(tmp_path: Path) -> None:
    async with stream_server(tmp_path) as server:
        async with event_stream(server.url, EventSourceState()) as connection:
            assert await connection.read()
            await server.until_readers(1)
        await server.until_readers(0)
        assert not server.live.is_anybody_live


async def test_above_the_limit_a_stream_is_refused_until_a_place_is_free(tmp_path: Path) -> None:
    async with stream_server(tmp_path, places=4) as server, AsyncExitStack() as streams:
        for _ in range(2):
            connection = await streams.enter_async_context(event_stream(server.url, EventSourceState()))
            assert await connection.read()
        async with event_stream(server.url, EventSourceState()) as refused:
            while await refused.read():
                pass
            assert (refused.status, refused.headers[b"retry-after"]) == (429, b"5")
        await streams.aclose()
        await server.until_readers(0)
        async with event_stream(server.url, EventSourceState()) as connection:
            assert await connection.read()
            assert connection.status == 200


async def test_the_header_fields_are_those_of_an_event_stream(tmp_path: Path) -> None:
    async with stream_server(tmp_path) as server, event_stream(server.url, EventSourceState()) as connection:
        assert await connection.read()
        assert connection.headers[b"content-type"] == b"text/event-stream"
        assert connection.headers[b"cache-control"] == b"no-store"
        assert connection.headers[b"x-accel-buffering"] == b"no"
        assert not any(name.startswith(b"access-control") for name in connection.headers)


def traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_an_idle_reader_keeps_little_in_memory(tmp_path: Path) -> None:
    async def measure() -> float:
        async with stream_server(tmp_path) as server:
            with ExitStack() as sockets:
                for _ in range(READERS // 4):
                    sockets.callback(UnreadStream(server, EventSourceState()).close)
                await server.until_readers(READERS // 4)
                await asyncio.sleep(0.1)
                before = traced_bytes()
                clients = [UnreadStream(server, EventSourceState()) for _ in range(READERS)]
                for client in clients:
                    sockets.callback(client.close)
                await server.until_readers(READERS + READERS // 4)
                await asyncio.sleep(0.1)
                await server.append(1)
                await asyncio.sleep(0.1)
                return (traced_bytes() - before) / READERS

    tracemalloc.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            each_bytes = runner.run(measure())
    finally:
        tracemalloc.stop()
    assert each_bytes < MEMORY_BYTES, f"{each_bytes:.0f} bytes for each reader"


async def test_a_stream_ends_after_the_last_events_when_the_server_stops(tmp_path: Path) -> None:
    client = EventSourceState()
    async with stream_server(tmp_path) as server, event_stream(server.url, client) as connection:
        assert await connection.read()
        await server.append(1)
        await server.live.end()
        while await connection.read():
            pass
        assert (len(client.ids), client.disconnects) == (1, ["STOPPING"])
