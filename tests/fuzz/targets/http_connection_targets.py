"""What anybody sends to the HTTP port: reads of pipelined requests, and the frames of websockets."""

import asyncio
import contextlib
import logging
from collections import Counter
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.api.aws.request_ids import RequestIds
from stagebook.server.http.connection_counts import ConnectionCounts
from stagebook.server.http.connection_flow import InputBudget
from stagebook.server.http.connection_settings import ConnectionSettings
from stagebook.server.http.http_connection import HttpConnection
from stagebook.server.http.idle_connections import IdleConnections
from stagebook.server.http.websocket_protocol import WebSocketProtocol
from tests.api.aws.asgi_harness import CountingRandomness
from tests.fuzz.fuzz_target import FuzzTarget, join_sized, split_sized
from tests.fuzz.targets.http_requests import CHUNKED, GET, H2C, POST, UPGRADE
from tests.server.http.http_harness import read_body, respond


class _Transport(asyncio.Transport):
    """A transport without a socket. It keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.protocol: Any = None
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, parts: Any) -> None:  # noqa: ANN401 - any iterable of bytes
        self.written += b"".join(parts)

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def can_write_eof(self) -> bool:
        return False


_LOOP = asyncio.new_event_loop()
_TURNS = 12
"""Turns of the event loop after each read: more than a request and its response take."""


class _ErrorLog(logging.Handler):
    """Collects errors of the server, such as an exception of the application."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def check_connection(data: bytes) -> None:
    """A connection answers with HTTP or with websocket frames, whatever arrives, and no task or callback fails."""
    failures: list[dict[str, Any]] = []
    errors, log = _ErrorLog(), logging.getLogger("uvicorn.error")
    log.addHandler(errors)
    _LOOP.set_exception_handler(lambda _loop, context: failures.append(context))
    try:
        _LOOP.run_until_complete(_play(split_sized(data, most=32)))
    finally:
        log.removeHandler(errors)
    assert not failures, failures
    assert not errors.messages, errors.messages


async def _play(reads: list[bytes]) -> None:
    """Let a client send these reads and then vanish, and check what is held and what is written."""
    budget, state, transport = InputBudget(), ServerState(), _Transport()
    transport.protocol = _connection(budget, state)
    transport.protocol.connection_made(transport)
    received_bytes = 0
    for read in reads:
        if transport.is_closed:
            break
        transport.protocol.data_received(read)
        received_bytes += len(read)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        assert budget.used_bytes <= received_bytes
    transport.protocol.connection_lost(None)
    for task in list(state.tasks):
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert budget.used_bytes == 0
    assert not transport.written or transport.written.startswith(b"HTTP/1.1 ")
    # A response to a request without a body has some hundred bytes.
    assert len(transport.written) <= 1_000 + 100 * received_bytes


def _connection(budget: InputBudget, state: ServerState) -> HttpConnection:
    settings = ConnectionSettings(
        request_timeout_seconds=60,
        keep_alive_seconds=60,
        request_ids=RequestIds(CountingRandomness()),
        input_budget=budget,
        idle_connections=IdleConnections(),
        connection_counts=ConnectionCounts(max_per_network=1_000),
        refused=Counter(),
    )
    config = Config(
        _echo, ws=WebSocketProtocol, lifespan="off", log_config=None, ws_max_size=4_096, ws_ping_interval=None
    )
    config.load()
    return HttpConnection(settings=settings, config=config, server_state=state, app_state={})


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with its body, and a websocket's messages with nothing."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    with contextlib.suppress(ConnectionError):
        await respond(send, await read_body(receive))


_TEXT, _PING = b"\x81\x82\0\0\0\0hi", b"\x89\x80\0\0\0\0"
_FRAGMENTS, _CLOSE = b"\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b", b"\x88\x82\0\0\0\0\x03\xe8"

TARGETS = (
    FuzzTarget(
        name="http-connection",
        check=check_connection,
        max_size_bytes=16_384,
        seeds=(
            join_sized([GET + POST, CHUNKED[:90], CHUNKED[90:]]),
            join_sized([UPGRADE, _TEXT + _PING, _FRAGMENTS, _CLOSE]),
            join_sized([H2C, GET]),
        ),
        operations_per_input=200_000,
        operations_per_byte=600,
    ),
)
