"""Websocket connections of the HTTP server: refused handshakes and messages, and a peer that does not read."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.config.rules import Address
from stagebook.server.http.http_server import HttpLimits, HttpServer
from stagebook.server.listen_sockets import bind_listen_socket

LIMITS = HttpLimits(
    connections=100,
    connections_per_network=10_000,
    request_timeout_seconds=30,
    keep_alive_seconds=30,
    websocket_message_size_bytes=4_096,
    websocket_ping_seconds=30,
    websocket_timeout_seconds=30,
    shutdown_timeout_seconds=5,
)
DEADLINE_SECONDS = 20


@asynccontextmanager
async def running_server(application: Application, *, limits: HttpLimits = LIMITS) -> AsyncIterator[int]:
    """Serve an application; yield its port."""

    async def do_nothing() -> None:
        """Do nothing before the connections are closed."""

    started = asyncio.Event()
    with bind_listen_socket(Address(host="127.0.0.1", port=0)) as bound:
        server = HttpServer(
            application, limits=limits, trusted_proxies=(), on_started=started.set, before_close=do_nothing
        )
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await started.wait()
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            async with asyncio.timeout(DEADLINE_SECONDS):
                await task


async def test_a_refused_handshake_is_a_response_and_not_logged_as_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-reason", b"token")]})
        await send({"type": "websocket.http.response.body", "body": b"no ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"token"})

    with caplog.at_level(logging.ERROR):
        async with running_server(refuse) as port:
            with pytest.raises(InvalidStatus) as caught:
                async with connect(f"ws://127.0.0.1:{port}/"):
                    pass
    response = caught.value.response
    assert (response.status_code, response.headers["x-reason"], response.body) == (401, "token", b"no token")
    assert caplog.records == []


async def test_the_connection_of_a_peer_that_does_not_read_ends_after_the_ping_timeout() -> None:
    ended = asyncio.Event()

    async def flood(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        try:
            while True:
                await send({"type": "websocket.send", "text": "x" * 100_000})
        except OSError:
            ended.set()

    limits = msgspec.structs.replace(LIMITS, websocket_ping_seconds=0.1, websocket_timeout_seconds=0.2)
    async with running_server(flood, limits=limits) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            await ended.wait()
        writer.transport.abort()


@pytest.mark.parametrize("fragments", [[b"\xff"], [b"\xe2\x82", b"\xac", b"\xe2"]], ids=["one frame", "fragments"])
async def test_a_text_that_is_not_utf_8_closes_the_connection_and_is_not_logged(
    fragments: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    messages: list[str] = []

    async def accept(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        messages.append((await receive())["type"])

    with caplog.at_level(logging.INFO):
        async with running_server(accept) as port, connect(f"ws://127.0.0.1:{port}/") as websocket:
            await websocket.send(fragments, text=True)
            with pytest.raises(ConnectionClosedError) as closed:
                await websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
    assert messages == ["websocket.disconnect"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
