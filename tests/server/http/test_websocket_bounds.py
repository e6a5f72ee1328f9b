"""What one peer of a websocket can cost: its frames, the fragments of a message, and what it does not read."""

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import uvloop
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect

from stagebook.api.asgi import DISCONNECT_REFUSED, TEXT_PARTS_EXTENSION, Receive, Scope, Send
from stagebook.server.http import websocket_protocol
from stagebook.server.http.websocket_protocol import FRAMES_BURST, LATE_LIMIT_BYTES, MAX_FRAGMENTS, WebSocketProtocol
from tests.server.http.test_websocket_protocol import DEADLINE_SECONDS, LIMITS, running_server

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PONG, PING = b"\x8a\x80\x00\x00\x00\x00", b"\x89\x80\x00\x00\x00\x00"
EMPTY_START, EMPTY_FRAGMENT = b"\x01\x80\x00\x00\x00\x00", b"\x00\x80\x00\x00\x00\x00"


class Sink:
    """An application that accepts websockets and records what it receives."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.accepted = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        self.accepted.set()
        while True:
            message = await receive()
            self.received.append(dict(message))
            if message["type"] == "websocket.disconnect":
                self.ended.set()
                return


@pytest.fixture
def counted_frames(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the frames that the protocol parses."""
    parsed = 0
    take = WebSocketProtocol._take

    def counting(protocol: WebSocketProtocol, frames: int) -> bool:
        nonlocal parsed
        parsed += frames
        return take(protocol, frames)

    monkeypatch.setattr(WebSocketProtocol, "_take", counting)
    return lambda: parsed


@asynccontextmanager
async def raw_peer(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield an open websocket as a plain TCP connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("frame", [PONG, PING, EMPTY_START + EMPTY_FRAGMENT], ids=["pongs", "pings", "fragments"])
async def test_a_flood_of_frames_is_parsed_up_to_the_limit_and_closes_the_connection(
    counted_frames: Callable[[], int], frame: bytes
) -> None:
    application = Sink()
    async with running_server(application) as port, raw_peer(port) as (reader, writer):
        flood = frame if frame in {PONG, PING} else EMPTY_START + EMPTY_FRAGMENT * (MAX_FRAGMENTS // 2) + PONG
        writer.write(flood * 100_000 if frame in {PONG, PING} else flood + EMPTY_FRAGMENT * 100_000)
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                received = await reader.read()
            except ConnectionError:
                received = None  # The close frame is lost when the connection is reset.
            await application.ended.wait()
    slice_frames = websocket_protocol.SLICE_SIZE_BYTES // len(PONG) + 1
    assert counted_frames() <= FRAMES_BURST + slice_frames + websocket_protocol.FRAMES_PER_SECOND
    assert received is None or b"\x03\xf0" in received  # close code 1008
    assert application.received[-1]["code"] == 1008
    assert application.received[-1][DISCONNECT_REFUSED]


async def test_the_frames_of_one_read_are_parsed_in_several_turns(counted_frames: Callable[[], int]) -> None:
    application = Sink()
    by_turn: list[int] = []
    parsed = asyncio.Event()

    def count_turn() -> None:
        by_turn.append(counted_frames())
        if by_turn[-1] < FRAMES_BURST - 1:
            asyncio.get_running_loop().call_soon(count_turn)
        else:
            parsed.set()

    message = b"\x81\x81\x00\x00\x00\x00x"
    async with asyncio.timeout(DEADLINE_SECONDS), running_server(application) as port:
        async with raw_peer(port) as (_, writer):
            writer.write(PONG * (FRAMES_BURST - 2) + message)
            count_turn()
            await parsed.wait()
        await application.ended.wait()
    assert application.received[0]["text"] == "x"
    slice_frames = websocket_protocol.SLICE_SIZE_BYTES // len(PONG) + 1
    assert max(later - earlier for earlier, later in pairwise(by_turn)) < 64 + slice_frames


async def test_a_peer_that_goes_on_sending_after_the_close_frame_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames are read as fast as they come, until it answers the close frame."""
    parsed_bytes = 0
    parse = WebSocketsSansIOProtocol.data_received

    def counting(protocol: WebSocketsSansIOProtocol, data: bytes) -> None:
        nonlocal parsed_bytes
        parsed_bytes += len(data)
        parse(protocol, data)

    async def close(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await send({"type": "websocket.close", "code": 1000, "reason": ""})

    monkeypatch.setattr(WebSocketsSansIOProtocol, "data_received", counting)
    message = b"\x81\xfe\x0f\xa0\x00\x00\x00\x00" + b"x" * 4_000
    async with running_server(close) as port, raw_peer(port) as (reader, writer):
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000):
                writer.write(message)
                await writer.drain()
            await reader.read()
    assert parsed_bytes <= LATE_LIMIT_BYTES


async def test_a_peer_that_sends_before_the_response_to_its_handshake_is_aborted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    messages: list[str] = []
    begun = asyncio.Event()

    async def wait(_scope: Scope, receive: Receive, _send: Send) -> None:
        messages.append((await receive())["type"])
        begun.set()
        messages.append((await receive())["type"])

    async with running_server(wait) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE)
        await begun.wait()
        writer.write(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.transport.abort()
    assert messages == ["websocket.connect", "websocket.disconnect"]
    assert not [record for record in caplog.records if record.exc_info]


async def test_fragments_of_one_message_are_bounded_at_any_rate() -> None:
    application = Sink()
    async with running_server(application) as port, raw_peer(port) as (reader, writer):
        writer.write(EMPTY_START + EMPTY_FRAGMENT * (MAX_FRAGMENTS - 2))
        writer.write(b"\x80\x82\x00\x00\x00\x00{}")
        writer.write(EMPTY_START + EMPTY_FRAGMENT * MAX_FRAGMENTS)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await reader.read()
            await application.ended.wait()
    assert application.received[0] == {"type": "websocket.receive", "text": "{}"}
    assert (application.received[1]["code"], application.received[1]["reason"]) == (1008, "too many fragments")


async def test_a_client_within_the_rates_is_not_refused() -> None:
    application = Sink()
    async with running_server(application) as port, connect(f"ws://127.0.0.1:{port}/") as client:
        for _ in range(60):
            await client.send(["{", "}"])
            await client.pong()
            await (await client.ping())
    texts = [message["text"] for message in application.received if message["type"] == "websocket.receive"]
    assert texts == ["{}"] * 60
    assert application.received[-1]["code"] == 1000
    assert DISCONNECT_REFUSED not in application.received[-1]


async def test_pongs_are_not_queued_for_a_peer_that_does_not_read() -> None:
    """The pongs of a peer that fills its connection would be kept until the connection ends."""
    protocols: list[WebSocketProtocol] = []

    async def fill(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        protocols.extend(each for each in gc.get_objects() if type(each) is WebSocketProtocol)
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        for _ in range(1_000):
            await send({"type": "websocket.send", "text": "x" * 4_000})

    async with running_server(fill) as port, raw_peer(port) as (_, writer):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not protocols or protocols[0].writable.is_set():  # noqa: ASYNC110 - nothing notifies of it
                await asyncio.sleep(0.01)
        unsent = protocols[0].transport.get_write_buffer_size()
        writer.write((b"\x89\xfd\x00\x00\x00\x00" + b"x" * 125) * 200)
        await asyncio.sleep(0.2)
        # 200 pongs would be 25,400 bytes.
        assert protocols[0].transport.get_write_buffer_size() <= unsent + 1_000
        protocols.clear()


class TestParts:
    """Messages in parts."""

    @pytest.mark.parametrize("sizes", [(5,), (125, 126), (65_535, 0, 65_536), (70_000, 3)])
    async def test_the_client_receives_the_parts_as_one_message(self, sizes: tuple[int, ...]) -> None:
        async def send_parts(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            assert TEXT_PARTS_EXTENSION in scope["extensions"]
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            for position, size in enumerate(sizes):
                more = position < len(sizes) - 1
                await send(
                    {"type": "websocket.send", "text_part": (bytes([97 + position]) * size,), "more_parts": more}
                )
            await send({"type": "websocket.send", "text": "after"})
            await receive()

        async with running_server(send_parts) as port, connect(f"ws://127.0.0.1:{port}/") as client:
            assert await client.recv() == "".join(chr(97 + at) * size for at, size in enumerate(sizes))
            assert await client.recv() == "after"

    async def test_control_frames_pass_between_the_parts(self) -> None:
        answered = asyncio.Event()

        async def send_parts(_scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await send({"type": "websocket.send", "text_part": (b"fir", b"st "), "more_parts": True})
            await answered.wait()
            await send({"type": "websocket.send", "text_part": (b"last",), "more_parts": False})
            await receive()

        async with running_server(send_parts) as port, connect(f"ws://127.0.0.1:{port}/") as client:
            reply = await client.ping()
            receiving = asyncio.ensure_future(client.recv())
            async with asyncio.timeout(DEADLINE_SECONDS):
                await reply
            answered.set()
            assert await receiving == "first last"

    async def test_a_part_for_a_client_that_has_gone_raises_an_os_error(self) -> None:
        failed = asyncio.Event()

        async def send_parts(_scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await receive()
            try:
                await send({"type": "websocket.send", "text_part": (b"late",), "more_parts": False})
            except OSError:
                failed.set()

        async with running_server(send_parts) as port:
            async with connect(f"ws://127.0.0.1:{port}/"):
                pass
            async with asyncio.timeout(DEADLINE_SECONDS):
                await failed.wait()


SOCKETS = 60
PARTS = tuple(bytes([48 + number]) * 32_768 for number in range(64))
SIZE_BYTES = sum(map(len, PARTS))


def test_sockets_that_do_not_read_share_the_parts_of_a_message() -> None:
    """The server runs with uvloop, which keeps references to the buffers that it writes."""

    async def measure() -> int:
        blocked = 0
        all_blocked = asyncio.Event()

        async def send_parts(_scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal blocked
            await receive()
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            for part in PARTS:
                sending = asyncio.ensure_future(
                    send({"type": "websocket.send", "text_part": (part,), "more_parts": True})
                )
                done, _ = await asyncio.wait({sending}, timeout=0.5)
                if not done:
                    blocked += 1
                    if blocked == SOCKETS:
                        all_blocked.set()
                    await asyncio.wait({sending}, timeout=5)
                    sending.cancel()
                    return

        limits = msgspec.structs.replace(LIMITS, websocket_ping_seconds=60)
        async with running_server(send_parts, limits=limits) as port:
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            clients = [await asyncio.open_connection("127.0.0.1", port, limit=1_024) for _ in range(SOCKETS)]
            for _, writer in clients:
                writer.write(HANDSHAKE)
            async with asyncio.timeout(DEADLINE_SECONDS):
                await all_blocked.wait()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            for _, writer in clients:
                writer.transport.abort()
            return grown

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        grown = runner.run(measure())
    # The clients of this process, with their buffers, are in the figure too.
    assert grown / SOCKETS < 60_000


async def test_the_connection_of_a_peer_that_does_not_read_ends_when_the_application_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = asyncio.Event()

    connection_made, connection_lost = WebSocketProtocol.connection_made, WebSocketProtocol.connection_lost

    def on_made(protocol: WebSocketProtocol, transport: asyncio.BaseTransport) -> None:
        connection_made(protocol, transport)
        protocol.close_timeout = 0.1

    def on_lost(protocol: WebSocketProtocol, error: Exception | None) -> None:
        connection_lost(protocol, error)
        lost.set()

    monkeypatch.setattr(WebSocketProtocol, "connection_made", on_made)
    monkeypatch.setattr(WebSocketProtocol, "connection_lost", on_lost)

    async def fill_and_end(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        sending = [asyncio.ensure_future(send({"type": "websocket.send", "text": "x" * 4_000_000})) for _ in range(3)]
        await asyncio.wait(sending, timeout=0.2)
        for each in sending:
            each.cancel()

    async with running_server(fill_and_end) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(HANDSHAKE)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await lost.wait()
        writer.transport.abort()
