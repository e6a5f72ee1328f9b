"""Websocket connections of the HTTP server: how a handshake is refused, and how a peer that reads nothing ends."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.config.rules import Address
from stagebook.server.http_server import HttpBounds, HttpServer
from stagebook.server.listen_sockets import listen

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


@asynccontextmanager
async def running(application: Application, *, bounds: HttpBounds = BOUNDS) -> AsyncIterator[int]:
    """Serve an application; give its port."""

    async def nothing() -> None:
        """End without a farewell."""

    started = asyncio.Event()
    with listen(Address(host="127.0.0.1", port=0)) as bound:
        server = HttpServer(application, bounds=bounds, trusted_proxies=(), on_started=started.set, before_end=nothing)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await started.wait()
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            async with asyncio.timeout(DEADLINE_SECONDS):
                await task


async def test_a_refused_handshake_is_an_answer_and_no_error_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"token")]})
        await send({"type": "websocket.http.response.body", "body": b"no ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"token"})

    with caplog.at_level(logging.ERROR):
        async with running(refuse) as port:
            with pytest.raises(InvalidStatus) as caught:
                async with connect(f"ws://127.0.0.1:{port}/"):
                    pass
    response = caught.value.response
    assert (response.status_code, response.headers["x-why"], response.body) == (401, "token", b"no token")
    assert caplog.records == []


async def test_a_peer_that_reads_nothing_ends_when_its_pong_stays_away() -> None:
    ended = asyncio.Event()

    async def flood(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        try:
            while True:
                await send({"type": "websocket.send", "text": "x" * 100_000})
        except OSError:
            ended.set()

    bounds = msgspec.structs.replace(BOUNDS, websocket_ping_seconds=0.1, websocket_timeout_seconds=0.2)
    async with running(flood, bounds=bounds) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            await ended.wait()
        writer.transport.abort()
