"""The HTTP server: uvicorn with Stagebook's connection class, and an ordered shutdown.

uvicorn accepts connections, counts them and closes them at the end. What is read from a connection, and how much of
it, is up to `HttpConnection` and `WebSocketProtocol`.

    shutdown: stop accepting, and close idle connections -> `before_close` (the owner ends its sessions)
              -> close the open connections

A load balancer keeps connections for its next requests. An idle one is closed first, and any other one after its
response, so that what the load balancer or a client sends next goes to another server.
"""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import uvicorn

from stagebook.api.asgi import Application
from stagebook.api.aws.request_ids import RequestIds
from stagebook.server.http.connection_counts import ConnectionCounts
from stagebook.server.http.connection_flow import INPUT_BUDGET_BYTES, InputBudget
from stagebook.server.http.connection_settings import ConnectionSettings
from stagebook.server.http.http_connection import HttpConnection
from stagebook.server.http.idle_connections import IdleConnections
from stagebook.server.http.pipeline_turns import PipelineTurns
from stagebook.server.http.websocket_protocol import WebSocketProtocol
from stagebook.server.system_clock import SystemRandomness

CLOSE_SECONDS = 1.0
"""Time for the open connections to end at a shutdown, after `before_close`."""
_POLL_SECONDS = 0.02


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits and timeouts of the HTTP server.

    `connections` bounds open connections and concurrent requests, `connections_per_network` the open connections of one
    network that is no trusted proxy. `held_input_bytes` bounds what all connections
    together have received and not decoded. `pipelined_per_second` bounds the pipelined requests of all connections
    together; None for no bound.
    """

    connections: int
    connections_per_network: int
    request_timeout_seconds: float
    keep_alive_seconds: int
    websocket_message_size_bytes: int
    websocket_ping_seconds: float
    websocket_timeout_seconds: float
    shutdown_timeout_seconds: int
    held_input_bytes: int = INPUT_BUDGET_BYTES
    pipelined_per_second: float | None = None


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
        can_cut: bool = False,
    ) -> None:
        """Serve `application` within `limits`.

        The X-Forwarded-For and X-Forwarded-Proto header fields of `trusted_proxies` (IP addresses and networks) are
        used. `on_started` is called once connections are accepted. At the end, `before_close` is awaited when no more
        connections are accepted and the open ones are not closed yet. With `can_cut`, `application` may close
        connections on purpose.
        """
        self.refused: Counter[int] = Counter()
        """The requests that were refused before the application got them, see `ConnectionSettings.refused`."""
        super().__init__(_configuration(application, limits, trusted_proxies, self.refused, can_cut=can_cut))
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
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpConnection):
                connection.shutdown()
        await self._before_close()
        await self._close_connections()
        await super().shutdown(sockets)

    async def _close_connections(self) -> None:
        """Let the open connections end, then abort the others: their clients do not read, or have not sent a request.

        An aborted connection is a disconnect to its application, which ends by itself. uvicorn would wait again for the
        whole timeout, then cancel the applications and log each with a traceback.
        """
        connections: Any = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while connections:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(_POLL_SECONDS)
        for connection in list(connections):
            connection.abort()
        await asyncio.sleep(0)  # the event loop now notifies them


def _configuration(
    application: Application,
    limits: HttpLimits,
    trusted_proxies: tuple[str, ...],
    refused: Counter[int],
    *,
    can_cut: bool,
) -> uvicorn.Config:
    per_second = limits.pipelined_per_second
    shared = ConnectionSettings(
        request_timeout_seconds=limits.request_timeout_seconds,
        keep_alive_seconds=limits.keep_alive_seconds,
        request_ids=RequestIds(SystemRandomness()),
        input_budget=InputBudget(limits.held_input_bytes),
        idle_connections=IdleConnections(),
        connection_counts=ConnectionCounts(
            max_per_network=limits.connections_per_network, shared_networks=trusted_proxies
        ),
        refused=refused,
        pipeline_turns=None if per_second is None else PipelineTurns(per_second=per_second, monotonic=time.monotonic),
        can_cut=can_cut,
    )

    def protocol(**arguments: Any) -> HttpConnection:  # noqa: ANN401 - arguments of uvicorn
        return HttpConnection(settings=shared, **arguments)

    return uvicorn.Config(
        application,
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
