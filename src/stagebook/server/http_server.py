"""The HTTP server: uvicorn with its two C parts, bounds that it lacks, and an end in the right order.

Owns HTTP connections. Must not know paths, doors or stages.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from stagebook.api.asgi import Application
from stagebook.server.websocket_protocol import WebSocketProtocol

HEAD_LIMIT_BYTES = 65_536
"""The request line and headers together: room for the largest participant token and signed AWS headers."""


class HttpBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may take of the server."""

    connections: int
    request_timeout_seconds: float
    keep_alive_seconds: int
    websocket_message_size_bytes: int
    websocket_ping_seconds: float
    websocket_timeout_seconds: float
    shutdown_timeout_seconds: int


class HttpServer(uvicorn.Server):
    """Serves one application on one socket until `should_exit` is set. Leaves signals to its owner."""

    def __init__(
        self,
        application: Application,
        *,
        bounds: HttpBounds,
        trusted_proxies: tuple[str, ...],
        on_started: Callable[[], None],
        before_end: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_started` is called once connections are accepted. At the end, `before_end` is awaited after the last
        one was accepted and before the open ones are closed."""
        super().__init__(_configuration(application, bounds, trusted_proxies))
        self._on_started = on_started
        self._before_end = before_end

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise them again after a clean end, and the exit code would not be 0."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so."""
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, let the owner end what is open in its own way, then close the connections."""
        for server in self.servers:
            server.close()
        await self._before_end()
        await super().shutdown(sockets)


def _configuration(application: Application, bounds: HttpBounds, trusted_proxies: tuple[str, ...]) -> uvicorn.Config:
    def protocol(**arguments: Any) -> BoundedHttpProtocol:  # noqa: ANN401 - uvicorn's own arguments, passed on
        return BoundedHttpProtocol(timeout_seconds=bounds.request_timeout_seconds, **arguments)

    return uvicorn.Config(
        application,
        # The class itself, not a name: by name, uvicorn falls back to a parser five times slower without a word.
        http=protocol,  # type: ignore[arg-type]  # anything that makes a protocol will do
        ws=WebSocketProtocol,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        limit_concurrency=bounds.connections,
        timeout_keep_alive=bounds.keep_alive_seconds,
        timeout_graceful_shutdown=bounds.shutdown_timeout_seconds,
        ws_max_size=bounds.websocket_message_size_bytes,
        ws_ping_interval=bounds.websocket_ping_seconds,
        ws_ping_timeout=bounds.websocket_timeout_seconds,
        ws_per_message_deflate=False,  # a snapshot is small; a compressor's window for each socket is not
    )


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP connection with the two bounds it lacks: the size of a request's head, and the time in which a
    whole request must arrive (a connection that never sends one included)."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config=config, server_state=server_state, app_state=app_state, _loop=_loop)
        self._timeout_seconds = timeout_seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        self._chunk_size_bytes = 0
        self._head_size_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection; its first request is awaited from now on."""
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, unless the head of a request has grown too large."""
        self._chunk_size_bytes = len(data)
        super().data_received(data)
        self._head_size_bytes += len(data)
        if self._in_head and self._head_size_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's headers are too large.")

    def on_message_begin(self) -> None:
        """A request's first byte arrived."""
        super().on_message_begin()
        self._in_head = True
        # Counted from the next chunk on: this one may hold the end of the request before, and is bounded by itself.
        self._head_size_bytes = -self._chunk_size_bytes
        self._expect_request()

    def on_headers_complete(self) -> None:
        """A request's head is whole."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._expect_nothing()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection becomes a websocket, with bounds of its own."""
        self._expect_nothing()
        super().handle_websocket_upgrade()

    def _expect_request(self) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(self._timeout_seconds, self._give_up)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self.transport.close()
