"""The HTTP server: its bounds, and the order in which it ends. Each test speaks to a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.config.rules import Address
from stagebook.server.http_server import HEAD_LIMIT_BYTES, HttpBounds, HttpServer
from stagebook.server.listen_sockets import listen

ANY_PORT = Address(host="127.0.0.1", port=0)
BOUNDS = HttpBounds(
    connections=100,
    request_timeout_seconds=30,
    keep_alive_seconds=30,
    websocket_message_size_bytes=4_096,
    websocket_ping_seconds=30,
    websocket_timeout_seconds=30,
    shutdown_timeout_seconds=5,
)
DEADLINE_SECONDS = 20


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def nothing() -> None:
    """End without a farewell."""


@asynccontextmanager
async def running(
    *, bounds: HttpBounds = BOUNDS, before_end: Callable[[], Awaitable[None]] = nothing
) -> AsyncIterator[tuple[HttpServer, int]]:
    started = asyncio.Event()
    with listen(ANY_PORT) as bound:
        port: int = bound.getsockname()[1]
        server = HttpServer(hello, bounds=bounds, trusted_proxies=(), on_started=started.set, before_end=before_end)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await started.wait()
            yield server, port
        finally:
            server.should_exit = True
            async with asyncio.timeout(DEADLINE_SECONDS):
                await task


async def exchange(port: int, request: bytes) -> bytes:
    """Send these bytes and return what comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(DEADLINE_SECONDS):
        writer.write(request)
        answer = b""
        try:
            while part := await reader.read(65_536):
                answer += part
        except ConnectionError:  # closed while we were still writing
            pass
    await hang_up(writer)
    return answer


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):  # the server may have been first
        await writer.wait_closed()


async def test_it_serves() -> None:
    async with running() as (_, port):
        answer = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"hello")
    assert b"uvicorn" not in answer


async def test_keep_alive_requests_are_each_within_the_bounds() -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"x" * (HEAD_LIMIT_BYTES // 2) + b"\r\n"
    async with running() as (_, port):
        answer = await exchange(port, (request + b"\r\n") * 5 + request + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 6


@pytest.mark.parametrize("head", [b"X-Long: " + b"x" * 4_000_000, b"X: y\r\n" * 700_000], ids=["one", "many"])
async def test_a_head_without_end_is_refused(head: bytes) -> None:
    async with running() as (_, port):
        answer = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n" + head)
    assert b"200 OK" not in answer


async def test_a_request_that_is_no_http_is_refused() -> None:
    async with running() as (_, port):
        assert (await exchange(port, b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "start",
    [b"", b"GET / HTTP/1.1\r\nHost", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"],
    ids=["silent", "slow head", "slow second request"],
)
async def test_a_request_that_does_not_arrive_in_time_ends_the_connection(start: bytes) -> None:
    bounds = msgspec.structs.replace(BOUNDS, request_timeout_seconds=0.05)
    async with running(bounds=bounds) as (_, port):
        answer = await exchange(port, start)
    assert answer.count(b"200 OK") == start.count(b"\r\n\r\n")


async def test_the_end_accepts_no_more_then_says_farewell_then_closes() -> None:
    seen: list[str] = []

    async def farewell() -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        seen.append("refused while saying farewell")
        assert not reader.at_eof()
        seen.append("open while saying farewell")

    async with running(before_end=farewell) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /events/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        server.should_exit = True
        async with asyncio.timeout(DEADLINE_SECONDS):
            await reader.read()
        seen.append("closed")
        await hang_up(writer)
    assert seen == ["refused while saying farewell", "open while saying farewell", "closed"]
