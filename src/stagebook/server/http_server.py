"""The HTTP server: uvicorn with httptools, limits that uvicorn lacks, and an ordered shutdown.

uvicorn limits neither the size of a request head (request line and header fields) nor the time in which a request must
arrive. `LimitedHttpProtocol` adds both, as a client could otherwise use up memory or connections with requests that
never end ("slowloris").

    shutdown: stop accepting -> `before_close` (the owner ends its sessions) -> close the open connections
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
"""Maximum size of a request line and its header fields. It admits the largest participant token."""


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits and timeouts of the HTTP server. `connections` bounds open connections and concurrent requests."""

    connections: int
    request_timeout_seconds: float
    keep_alive_seconds: int
    websocket_message_size_bytes: int
    websocket_ping_seconds: float
    websocket_timeout_seconds: float
    shutdown_timeout_seconds: int


class HttpServer(uvicorn.Server):
    """Serves an ASGI application until `should_exit` is set. It does not handle signals."""

    def __init__(
        self,
        application: Application,
        *,
        limits: HttpLimits,
        trusted_proxies: tuple[str, ...],
        on_started: Callable[[], None],
        before_close: Callable[[], Awaitable[None]],
    ) -> None:
        """Serve `application` within `limits`.

        The X-Forwarded-For and X-Forwarded-Proto header fields of `trusted_proxies` (IP addresses and networks) are
        used. `on_started` is called once connections are accepted. At the end, `before_close` is awaited when no more
        connections are accepted and the open ones are not closed yet.
        """
        super().__init__(_configuration(application, limits, trusted_proxies))
        self._on_started = on_started
        self._before_close = before_close

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing. uvicorn would raise a captured signal again after a clean end, which changes the exit code."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, then call `on_started`."""
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, await `before_close`, then close the open connections."""
        for server in self.servers:
            server.close()
        await self._before_close()
        await super().shutdown(sockets)


def _configuration(application: Application, limits: HttpLimits, trusted_proxies: tuple[str, ...]) -> uvicorn.Config:
    def protocol(**arguments: Any) -> LimitedHttpProtocol:  # noqa: ANN401 - arguments of uvicorn
        return LimitedHttpProtocol(timeout_seconds=limits.request_timeout_seconds, **arguments)

    return uvicorn.Config(
        application,
        # Not the name "httptools": by name, uvicorn falls back silently to a parser that is five times slower.
        http=protocol,  # type: ignore[arg-type]  # uvicorn accepts any factory of protocols
        ws=WebSocketProtocol,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        limit_concurrency=limits.connections,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.shutdown_timeout_seconds,
        ws_max_size=limits.websocket_message_size_bytes,
        ws_ping_interval=limits.websocket_ping_seconds,
        ws_ping_timeout=limits.websocket_timeout_seconds,
        ws_per_message_deflate=False,  # messages are small, but each connection would need a compression window
    )


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP connection with a limit on the size of a request head and a timeout for receiving a request.

    The timeout also ends a new connection on which no request arrives. Between requests, uvicorn's keep-alive timeout
    applies. A websocket has its own limits.
    """

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
        self._timeout: asyncio.TimerHandle | None = None
        self._in_head = True
        self._chunk_size_bytes = 0
        self._head_size_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start the timeout of the first request."""
        super().connection_made(transport)
        self._start_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeout."""
        self._cancel_timeout()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data. Refuse the request if its head has become too large."""
        self._chunk_size_bytes = len(data)
        super().data_received(data)
        self._head_size_bytes += len(data)
        if self._in_head and self._head_size_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's headers are too large.")

    def on_message_begin(self) -> None:
        """Start the timeout and the byte count of a request."""
        super().on_message_begin()
        self._in_head = True
        # `data_received` adds the size of this chunk later. The chunk is not counted, as it may hold the end of the
        # previous request; its size is bounded anyway.
        self._head_size_bytes = -self._chunk_size_bytes
        self._start_timeout()

    def on_headers_complete(self) -> None:
        """The head is complete: stop counting."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete: stop the timeout."""
        self._cancel_timeout()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Stop the timeout: the connection becomes a websocket."""
        self._cancel_timeout()
        super().handle_websocket_upgrade()

    def _start_timeout(self) -> None:
        self._cancel_timeout()
        self._timeout = self.loop.call_later(self._timeout_seconds, self._on_timeout)

    def _cancel_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _on_timeout(self) -> None:
        self.transport.close()
