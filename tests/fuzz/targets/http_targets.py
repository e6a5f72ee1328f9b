"""What anybody sends to the HTTP port: heads, bodies, pipelined requests, and the frames of websockets."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.server import ServerState

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.api.aws.request_ids import RequestIds
from stagebook.server.http.connection_counts import ConnectionCounts
from stagebook.server.http.connection_flow import InputBudget
from stagebook.server.http.http_connection import ConnectionSettings, HttpConnection
from stagebook.server.http.request_decoder import RequestDecoder
from stagebook.server.http.request_head import HEAD_LIMIT_BYTES, MAXIMUM_HEADER_FIELDS, HttpRequestError, RequestHead
from stagebook.server.http.websocket_protocol import WebSocketProtocol
from tests.api.aws.asgi_harness import CountingRandomness
from tests.fuzz.fuzz_target import FuzzTarget, join_sized, split_sized
from tests.server.http.http_harness import read_body, respond

_LENGTH_FIELDS = {b"content-length", b"transfer-encoding"}
_Decoded = tuple[str, bytes, bytes]
"""Method, target and body of a request."""


def check_decoder(data: bytes) -> None:
    """The requests do not depend on the sizes of the reads, and another parser sees the same ones.

    Two parsers that disagree about where a request ends make request smuggling possible (RFC 9112 section 11.2).
    """
    requests, status = _decode(data, read_bytes=65_536)
    assert (requests, status) == _decode(data, read_bytes=11)
    assert sum(len(body) for _, _, body in requests) <= len(data)
    for request, other in zip(requests, _decode_with_h11(data), strict=False):
        assert request == other


def _decode(data: bytes, *, read_bytes: int) -> tuple[list[_Decoded], int | None]:
    """Return the complete requests in the input, and the status of the refusal that ends it."""
    decoder = RequestDecoder()
    requests: list[_Decoded] = []
    head: RequestHead | None = None
    body = b""
    try:
        for start in range(0, len(data), read_bytes):
            decoder.receive(data[start : start + read_bytes])
            while (event := decoder.next_event()) is not None:
                if isinstance(event, RequestHead):
                    head, body = event, b""
                    assert event.size_bytes <= HEAD_LIMIT_BYTES
                    assert len(event.headers) <= MAXIMUM_HEADER_FIELDS
                    # With both, proxies differ in which one ends the request.
                    assert not {name for name, _ in event.headers} >= _LENGTH_FIELDS
                    continue
                body += event.data
                if event.is_last and head is not None:
                    target = head.raw_path + (b"?" + head.query if head.query else b"")
                    requests.append((head.method, target, body))
    except HttpRequestError as error:
        return requests, error.status
    return requests, None


def _decode_with_h11(data: bytes) -> Iterator[_Decoded | str]:
    """Yield the complete requests with a path as their target, and the reason if the framing of a body is refused.

    h11 also refuses heads with two spaces in the request line, and reads trailers as if they were header fields.
    Nothing is compared from there on.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)
    connection.receive_data(data.lstrip(b"\r\n"))
    request: h11.Request | None = None
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            if request is not None and str(error).startswith(("illegal", "malformed")):
                yield str(error)
            return
        if isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            if not request.target.startswith(b"/") or b"?" in request.target or b"#" in request.target:
                return
            yield request.method.decode(), request.target, body
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()
            request = None
        else:
            return


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
    budget = InputBudget()
    settings = ConnectionSettings(
        request_timeout_seconds=60,
        keep_alive_seconds=60,
        request_ids=RequestIds(CountingRandomness()),
        input_budget=budget,
        connection_counts=ConnectionCounts(max_per_network=1_000),
    )
    config = Config(
        _echo, ws=WebSocketProtocol, lifespan="off", log_config=None, ws_max_size=4_096, ws_ping_interval=None
    )
    config.load()
    state, transport = ServerState(), _Transport()
    transport.protocol = HttpConnection(settings=settings, config=config, server_state=state, app_state={})
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


_GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
_POST = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
_CHUNKED = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"
_UPGRADE = (
    b"GET /events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_H2C = (
    b"GET /d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nExpect: 100-continue\r\n\r\n"
)
_TEXT, _PING = b"\x81\x82\0\0\0\0hi", b"\x89\x80\0\0\0\0"
_FRAGMENTS, _CLOSE = b"\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b", b"\x88\x82\0\0\0\0\x03\xe8"

TARGETS = (
    FuzzTarget(
        name="http-decoder",
        check=check_decoder,
        max_size_bytes=16_384,
        seeds=(_GET + _POST + _CHUNKED + _GET, _H2C + _CHUNKED, _UPGRADE),
        operations_per_byte=300,
    ),
    FuzzTarget(
        name="http-connection",
        check=check_connection,
        max_size_bytes=16_384,
        seeds=(
            join_sized([_GET + _POST, _CHUNKED[:90], _CHUNKED[90:]]),
            join_sized([_UPGRADE, _TEXT + _PING, _FRAGMENTS, _CLOSE]),
            join_sized([_H2C, _GET]),
        ),
        operations_per_input=200_000,
        operations_per_byte=600,
    ),
)
