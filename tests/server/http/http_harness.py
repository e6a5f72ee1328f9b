"""An `HttpServer` on a free port, and clients that send raw bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from stagebook.api.asgi import Application, Receive, Scope, Send
from stagebook.config.rules import Address
from stagebook.server.http.http_server import HttpLimits, HttpServer
from stagebook.server.listen_sockets import bind_listen_socket

ANY_PORT = Address(host="127.0.0.1", port=0)
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
WEBSOCKET_HANDSHAKE = (
    b"GET /events/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
"""The head of a valid handshake, without the empty line."""


async def do_nothing() -> None:
    """Do nothing before the connections are closed."""


@asynccontextmanager
async def running_server(
    application: Application,
    *,
    limits: HttpLimits = LIMITS,
    before_close: Callable[[], Awaitable[None]] = do_nothing,
) -> AsyncIterator[tuple[HttpServer, int]]:
    """Serve an application; yield the server and its port."""
    started = asyncio.Event()
    with bind_listen_socket(ANY_PORT) as bound:
        port: int = bound.getsockname()[1]
        server = HttpServer(
            application, limits=limits, trusted_proxies=(), on_started=started.set, before_close=before_close
        )
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await started.wait()
            yield server, port
        finally:
            server.should_exit = True
            async with asyncio.timeout(DEADLINE_SECONDS):
                await task


async def exchange(port: int, *parts: bytes) -> bytes:
    """Send the parts, each when the event loop is idle; return what is received until the server closes."""
    async with connection(port) as (reader, writer):
        response = b""
        with contextlib.suppress(ConnectionError):  # closed while the request was being sent
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)
            while received := await reader.read(65_536):
                response += received
    return response


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to the server. The whole context has a deadline."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield reader, writer
    finally:
        writer.transport.abort()


async def read_response(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, header fields and body of the next response, which must declare its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    return int(lines[0].split()[1]), headers, body


async def wait_until_no_connections(server: HttpServer) -> None:
    """Wait until the server has no open connection."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while server.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)


async def read_body(receive: Receive) -> bytes:
    """Return the whole body of a request, or raise ConnectionError if the client disconnected."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


async def respond(send: Send, body: bytes, *, close: bool = False) -> None:
    """Send a response with status 200."""
    headers = [(b"content-length", b"%d" % len(body)), *([(b"connection", b"close")] if close else [])]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class EchoApplication:
    """Answers a request with its body, accepts websockets, and remembers the scopes."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await receive()
            return
        body = await read_body(receive)
        self.bodies.append(body)
        await respond(send, body)
