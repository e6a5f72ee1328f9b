"""The HTTP server: its limits and its shutdown, over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.config.rules import Address
from stagebook.server.http_server import HEAD_LIMIT_BYTES, HttpLimits, HttpServer
from stagebook.server.listen_sockets import bind_listen_socket

ANY_PORT = Address(host="127.0.0.1", port=0)
LIMITS = HttpLimits(
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


async def do_nothing() -> None:
    """Do do_nothing before the connections are closed."""


@asynccontextmanager
async def running_server(
    *, limits: HttpLimits = LIMITS, before_close: Callable[[], Awaitable[None]] = do_nothing
) -> AsyncIterator[tuple[HttpServer, int]]:
    started = asyncio.Event()
    with bind_listen_socket(ANY_PORT) as bound:
        port: int = bound.getsockname()[1]
        server = HttpServer(hello, limits=limits, trusted_proxies=(), on_started=started.set, before_close=before_close)
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
    """Send these bytes; return the bytes received until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(DEADLINE_SECONDS):
        writer.write(request)
        response = b""
        try:
            while part := await reader.read(65_536):
                response += part
        except ConnectionError:  # closed while the request was being sent
            pass
    await close_connection(writer)
    return response


async def close_connection(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):  # the server may have closed the connection first
        await writer.wait_closed()


async def test_a_request_is_served() -> None:
    async with running_server() as (_, port):
        response = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"hello")
    assert b"uvicorn" not in response


async def test_the_head_limit_applies_to_each_request_of_a_connection() -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"x" * (HEAD_LIMIT_BYTES // 2) + b"\r\n"
    async with running_server() as (_, port):
        response = await exchange(port, (request + b"\r\n") * 5 + request + b"Connection: close\r\n\r\n")
    assert response.count(b"HTTP/1.1 200 OK") == 6


@pytest.mark.parametrize("head", [b"X-Long: " + b"x" * 4_000_000, b"X: y\r\n" * 700_000], ids=["one", "many"])
async def test_a_request_head_above_the_limit_is_refused(head: bytes) -> None:
    async with running_server() as (_, port):
        response = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n" + head)
    assert b"200 OK" not in response


async def test_a_request_that_is_not_http_is_refused() -> None:
    async with running_server() as (_, port):
        assert (await exchange(port, b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "start",
    [b"", b"GET / HTTP/1.1\r\nHost", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"],
    ids=["silent", "slow head", "slow second request"],
)
async def test_a_request_that_is_not_received_in_time_closes_the_connection(start: bytes) -> None:
    limits = msgspec.structs.replace(LIMITS, request_timeout_seconds=0.05)
    async with running_server(limits=limits) as (_, port):
        response = await exchange(port, start)
    assert response.count(b"200 OK") == start.count(b"\r\n\r\n")


async def test_shutdown_stops_accepting_then_awaits_before_close_then_closes() -> None:
    seen: list[str] = []

    async def before_close() -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        seen.append("new connection refused in before_close")
        assert not reader.at_eof()
        seen.append("old connection open in before_close")

    async with running_server(before_close=before_close) as (server, port):
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
        await close_connection(writer)
    assert seen == ["new connection refused in before_close", "old connection open in before_close", "closed"]
