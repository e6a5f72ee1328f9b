"""HTTP connections against clients that send too much, too slowly, or something else than HTTP, over real sockets."""

import asyncio
import contextlib
import gc
import re
import tracemalloc
from collections.abc import Iterator
from contextlib import AsyncExitStack

import httptools
import msgspec
import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.api.http_body import BodyReader, BodyTimeoutError
from stagebook.server.http.connection_settings import CLOSED, REFUSED_CONNECTIONS
from stagebook.server.http.http_connection import HttpConnection
from stagebook.server.http.request_head import RequestHead
from stagebook.server.http.websocket_protocol import WebSocketProtocol
from tests.server.http.http_harness import (
    LIMITS,
    WEBSOCKET_HANDSHAKE,
    EchoApplication,
    connection,
    exchange,
    read_body,
    read_response,
    respond,
    running_server,
    wait_until_no_connections,
)

HEAD_LIMIT_BYTES = 65_536
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSING_GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def requests_in_memory() -> int:
    return sum(isinstance(thing, RequestResponseCycle) for thing in gc.get_objects())


async def test_pipelined_requests_are_served_in_order_and_few_of_them_are_parsed_ahead() -> None:
    number = 10_000
    most = 0
    served = 0

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal most, served
        served += 1
        if served in (1, 100, 1_000, number - 100):
            await asyncio.sleep(0.1)  # let the server read ahead
            most = max(most, requests_in_memory())
        await respond(send, scope["query_string"])

    requests = b"".join(b"GET /?%d HTTP/1.1\r\nHost: x\r\n\r\n" % index for index in range(number))
    async with running_server(application) as (_, port), connection(port) as (reader, writer):
        writer.write(requests)
        bodies = [(await read_response(reader))[2] for _ in range(number)]
    assert bodies == [b"%d" % index for index in range(number)]
    assert most <= 10


async def test_a_served_request_notices_a_disconnect_while_others_wait() -> None:
    messages: list[str] = []
    started, ended = asyncio.Event(), asyncio.Event()

    async def application(_scope: Scope, receive: Receive, _send: Send) -> None:
        await read_body(receive)
        started.set()
        messages.append((await receive())["type"])
        ended.set()

    async with running_server(application) as (_, port):
        async with connection(port) as (_reader, writer):
            writer.write(GET * 3)
            await started.wait()
        async with asyncio.timeout(5):
            await ended.wait()
    assert messages == ["http.disconnect"]


async def test_trailers_are_not_header_fields() -> None:
    application = EchoApplication()
    async with running_server(application) as (_, port), connection(port) as (reader, writer):
        writer.write(CHUNKED_POST + b"5\r\nhello\r\n0\r\nAuthorization: secret\r\nContent-Length: 9\r\n\r\n" + GET)
        assert (await read_response(reader))[2] == b"hello"
        assert (await read_response(reader))[0] == 200
    assert [name for scope in application.scopes for name, _ in scope["headers"] if name != b"host"] == [
        b"transfer-encoding"
    ]


@pytest.mark.parametrize("trailers", [b"X: y\r\n" * 40_000, b"X: " + b"y" * 200_000], ids=["many", "long"])
async def test_trailers_above_the_limit_end_the_request(trailers: bytes) -> None:
    application = EchoApplication()
    async with running_server(application) as (_, port):
        response = await exchange(port, CHUNKED_POST + b"0\r\n" + trailers)
    assert response.startswith(b"HTTP/1.1 431 ")
    assert application.bodies == []
    assert sum(len(name) + len(value) for name, value in application.scopes[0]["headers"]) < 100


async def test_a_body_of_small_chunks_is_served() -> None:
    application = EchoApplication()
    body = b"x" * 5_000
    async with running_server(application) as (_, port), connection(port) as (reader, writer):
        writer.write(CHUNKED_POST + b"1\r\nx\r\n" * len(body) + b"0\r\n\r\n")
        assert (await read_response(reader))[2] == body


async def test_a_body_of_too_many_chunks_is_refused() -> None:
    async with running_server(EchoApplication()) as (_, port):
        response = await exchange(port, CHUNKED_POST + b"1\r\nx\r\n" * 200_000)
    assert response.startswith(b"HTTP/1.1 413 ")


async def test_small_chunks_are_decoded_in_turns_with_other_connections() -> None:
    """While the chunks of one read are decoded, another request is served."""
    order: list[bytes] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/other":
            order.append(b"other")
            await respond(send, b"")
            return
        body = await read_body(receive)
        order.append(body[:1])
        await respond(send, b"")

    async with running_server(application) as (_, port), connection(port) as (reader, writer):
        writer.write(CHUNKED_POST)
        await asyncio.sleep(0.05)
        async with connection(port) as (other_reader, other_writer):
            # Both are in the receive buffers when the server wakes up.
            writer.write(b"1\r\nx\r\n" * 8_000 + b"0\r\n\r\n")
            other_writer.write(b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
            await read_response(other_reader)
            await read_response(reader)
    assert order == [b"other", b"x"]


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0", b"foo, h2c"])
async def test_an_upgrade_that_is_not_to_a_websocket_is_ignored(protocol: bytes) -> None:
    """RFC 9110 section 7.8. Java's HttpClient and curl --http2 offer h2c with every first request."""
    application = EchoApplication()
    head = (
        b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        b"Upgrade: " + protocol + b"\r\nContent-Length: %d\r\n\r\n"
    )
    body = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    async with running_server(application) as (_, port):
        response = await exchange(port, head % len(body), body, CLOSING_GET)
    assert response.count(b"HTTP/1.1 200 ") == 2
    assert application.bodies == [body, b""]
    assert [scope["path"] for scope in application.scopes] == ["/a", "/"]


async def test_an_upgrade_to_a_websocket_by_another_method_is_ignored() -> None:
    application = EchoApplication()
    head = WEBSOCKET_HANDSHAKE.replace(b"GET", b"POST") + b"Connection: close\r\nContent-Length: 5\r\n\r\n"
    async with running_server(application) as (_, port):
        response = await exchange(port, head, b"hello")
    assert response.endswith(b"hello")
    assert application.scopes[0]["type"] == "http"


@pytest.mark.parametrize(
    "fields",
    [b"X-Field: y\r\n" * 200, b"X-Field: " + b"y" * HEAD_LIMIT_BYTES + b"\r\n"],
    ids=["too many fields", "too large"],
)
async def test_a_websocket_handshake_above_the_limits_is_refused_and_closed(fields: bytes) -> None:
    async with running_server(EchoApplication()) as (server, port):
        response = await exchange(port, WEBSOCKET_HANDSHAKE + fields + b"\r\n")
        await wait_until_no_connections(server)
    assert response.startswith(b"HTTP/1.1 431 ")


async def test_an_invalid_websocket_handshake_is_refused_and_closed() -> None:
    async with running_server(EchoApplication()) as (server, port):
        response = await exchange(port, WEBSOCKET_HANDSHAKE.replace(b"Version: 13", b"Version: 12") + b"\r\n")
        await wait_until_no_connections(server)
    assert response.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("before", [b"", GET], ids=["first request", "second request"])
async def test_data_behind_a_websocket_handshake_is_refused(before: bytes) -> None:
    async with running_server(EchoApplication()) as (_, port):
        response = await exchange(port, before, WEBSOCKET_HANDSHAKE + b"\r\n\x81\x80abcd")
    assert re.findall(rb"HTTP/1.1 (\d+)", response) == [b"200"] * bool(before) + [b"400"]


async def test_a_websocket_before_the_response_to_another_request_is_refused() -> None:
    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await respond(send, b"hello")

    async with running_server(application) as (_, port):
        response = await exchange(port, GET + WEBSOCKET_HANDSHAKE + b"\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", response) == [b"200", b"400"]


@pytest.mark.parametrize("offered", [b"websocket", b"h2c, WebSocket", b"h2c\r\nUpgrade: websocket"])
async def test_a_websocket_can_follow_a_request_on_its_connection(offered: bytes) -> None:
    async with running_server(EchoApplication()) as (_, port), connection(port) as (reader, writer):
        writer.write(GET)
        await read_response(reader)
        writer.write(WEBSOCKET_HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: " + offered) + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")


async def test_a_request_that_begins_before_the_keep_alive_timeout_may_end_after_it() -> None:
    limits = msgspec.structs.replace(LIMITS, keep_alive_seconds=1)
    async with running_server(EchoApplication(), limits=limits) as (_, port), connection(port) as (reader, writer):
        writer.write(GET)
        await read_response(reader)
        writer.write(GET[:10])
        await asyncio.sleep(1.2)
        writer.write(GET[10:])
        assert (await read_response(reader))[0] == 200


@pytest.mark.parametrize("request_bytes", [GET, WEBSOCKET_HANDSHAKE + b"\r\n"], ids=["request", "websocket"])
async def test_requests_above_the_limit_of_connections_are_refused_with_a_request_id(request_bytes: bytes) -> None:
    limits = msgspec.structs.replace(LIMITS, connections=2)
    async with running_server(EchoApplication(), limits=limits) as (_, port), AsyncExitStack() as stack:
        for _ in range(2):
            reader, writer = await stack.enter_async_context(connection(port))
            writer.write(WEBSOCKET_HANDSHAKE + b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 "), "the limit itself is allowed"
        async with connection(port) as (reader, writer):
            writer.write(request_bytes)
            status, headers, _ = await read_response(reader)
    assert status == 503
    assert len(headers[b"x-amzn-requestid"]) == 36


async def test_the_oldest_idle_connection_makes_room_for_a_new_one() -> None:
    limits = msgspec.structs.replace(LIMITS, connections=3)
    async with (
        running_server(EchoApplication(), limits=limits) as (server, port),
        connection(port) as (silent_reader, _),
        connection(port) as (idle_reader, idle),
        connection(port) as (busy_reader, busy),
    ):
        for reader, writer, request in ((idle_reader, idle, GET), (busy_reader, busy, WEBSOCKET_HANDSHAKE + b"\r\n")):
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
        assert (await exchange(port, CLOSING_GET)).startswith(b"HTTP/1.1 200 ")
        assert await silent_reader.read() == b""
        async with connection(port) as (reader, writer):
            # The connection that has just been answered is idle again, and is now the oldest one.
            assert (await exchange(port, CLOSING_GET)).startswith(b"HTTP/1.1 200 ")
            await idle_reader.read()
            writer.write(GET)
            assert (await read_response(reader))[0] == 200
            assert len(server.server_state.connections) <= limits.connections
            assert not busy_reader.at_eof()


async def test_one_address_cannot_take_all_connections() -> None:
    limits = msgspec.structs.replace(LIMITS, connections_per_network=2)
    async with running_server(EchoApplication(), limits=limits) as (server, port), AsyncExitStack() as stack:
        for request in (GET, WEBSOCKET_HANDSHAKE + b"\r\n"):
            reader, writer = await stack.enter_async_context(connection(port))
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
        assert (await exchange(port, CLOSING_GET)).startswith(b"HTTP/1.1 503 ")
        await stack.aclose()
        await wait_until_no_connections(server)
        assert (await exchange(port, CLOSING_GET)).startswith(b"HTTP/1.1 200 ")


async def test_what_no_application_gets_is_counted_by_its_status() -> None:
    limits = msgspec.structs.replace(LIMITS, connections=1_000, connections_per_network=1)
    async with running_server(EchoApplication(), limits=limits) as (server, port):
        assert (await exchange(port, b"no request\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await exchange(port, CLOSING_GET)).startswith(b"HTTP/1.1 200 ")
        await wait_until_no_connections(server)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(connection(port))
            assert (await exchange(port, CLOSING_GET)).startswith(b"HTTP/1.1 503 ")
            for _ in range(REFUSED_CONNECTIONS):
                await stack.enter_async_context(connection(port))
            assert await exchange(port) == b""
        assert server.refused == {400: 1, 503: 1, CLOSED: 1}


async def test_silent_connections_are_bounded() -> None:
    limits = msgspec.structs.replace(LIMITS, connections=16)
    most = limits.connections + REFUSED_CONNECTIONS
    async with AsyncExitStack() as stack:
        server, port = await stack.enter_async_context(running_server(EchoApplication(), limits=limits))
        for _ in range(most + 20):
            await stack.enter_async_context(connection(port))
        await asyncio.sleep(0.1)
        assert len(server.server_state.connections) <= limits.connections


@pytest.mark.parametrize("size_bytes", [8_000, 12_000, 60_000])
async def test_a_websocket_handshake_can_have_a_token_of_any_size_within_the_head_limit(size_bytes: int) -> None:
    """A participant token may be in the path, or be offered as a subprotocol."""
    application = EchoApplication()
    handshake = WEBSOCKET_HANDSHAKE + b"Sec-WebSocket-Protocol: " + b"t" * size_bytes + b"\r\nX-Name: \xc3\xa9\r\n\r\n"
    async with running_server(application) as (_, port), connection(port) as (reader, writer):
        writer.write(handshake)
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
    assert application.scopes[0]["subprotocols"] == ["t" * size_bytes]
    assert (b"x-name", b"\xc3\xa9") in application.scopes[0]["headers"]


@pytest.mark.parametrize(
    ("status", "request_bytes"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        (400, b"GET / HTTP/1.1\nHost: x\n\n\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello"),
        (400, CHUNKED_POST + b"0x5\r\nhello\r\n0\r\n\r\n"),
        (400, CHUNKED_POST + b"5\r\nhello!\r\n0\r\n\r\n"),
        (400, CHUNKED_POST + b"5;" + b"e" * 1_000),
        (400, b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
        (400, b"\x16\x03\x01 hello\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 130 + b"\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * HEAD_LIMIT_BYTES + b"\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_refused_with_a_request_id(status: int, request_bytes: bytes) -> None:
    application = EchoApplication()
    async with running_server(application) as (_, port), connection(port) as (reader, writer):
        writer.write(request_bytes + GET)
        answered, headers, body = await read_response(reader)
        assert not await reader.read()
    assert answered == status
    assert len(headers[b"x-amzn-requestid"]) == 36
    assert headers[b"connection"] == b"close"
    assert msgspec.json.decode(body)["message"]
    assert application.bodies == []


async def test_an_error_is_sent_after_the_responses_before_it() -> None:
    async def application(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await asyncio.sleep(0.05)
        await respond(send, b"hello")

    async with running_server(application) as (_, port):
        response = await exchange(port, GET + GET + b"nonsense\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", response) == [b"200", b"200", b"400"]


async def test_empty_lines_before_a_request_are_ignored() -> None:
    async with running_server(EchoApplication()) as (_, port):
        assert (await exchange(port, b"\r\n\r\n" + GET + b"\r\n" + CLOSING_GET)).count(b"200 OK") == 2


@pytest.mark.parametrize(
    "begun", [b"GET / HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel"]
)
async def test_a_request_that_is_not_complete_in_time_gets_408(begun: bytes) -> None:
    limits = msgspec.structs.replace(LIMITS, request_timeout_seconds=0.5)
    async with running_server(EchoApplication(), limits=limits) as (_, port):
        assert (await exchange(port, begun)).startswith(b"HTTP/1.1 408 ")


async def test_the_application_answers_a_body_that_is_not_complete_in_time() -> None:
    bodies = BodyReader(timeout_seconds=0.4)

    async def application(_scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(BodyTimeoutError):
            await bodies.read(receive, max_size_bytes=100)
        await respond(send, b"late", close=True)

    limits = msgspec.structs.replace(LIMITS, request_timeout_seconds=0.4)
    async with running_server(application, limits=limits) as (_, port):
        response = await exchange(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhel")
    assert response.endswith(b"late")


async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    await respond(send, b"refused")


async def test_a_body_that_the_application_does_not_read_is_discarded() -> None:
    body = b"x" * 1_000_000
    async with running_server(refuse) as (_, port), connection(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert (await read_response(reader))[2] == b"refused"
        writer.write(body + GET)
        assert (await read_response(reader))[2] == b"refused"


async def test_a_body_that_is_discarded_has_a_limit() -> None:
    async with running_server(refuse) as (_, port), connection(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        await read_response(reader)
        sent_bytes = 0
        with contextlib.suppress(ConnectionError):
            while sent_bytes < 100_000_000:
                writer.write(b"x" * 100_000)
                sent_bytes += 100_000
                await writer.drain()
    assert sent_bytes < 50_000_000  # the limit, and the buffers of two kernels


async def test_a_client_that_is_still_sending_receives_the_last_response() -> None:
    async def application(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await respond(send, b"too large", close=True)

    body = b"x" * 1_500_000
    async with running_server(application) as (_, port), connection(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + body)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(b"x" * 100_000)
        await writer.drain()
        assert (await read_response(reader))[2] == b"too large"
        assert not await reader.read()


async def test_a_client_that_awaits_100_continue_gets_it_when_the_body_is_read() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    async with running_server(EchoApplication()) as (_, port), connection(port) as (reader, writer):
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await read_response(reader))[2] == b"hello"


async def test_a_final_response_instead_of_100_continue_ends_the_connection() -> None:
    """The client may leave the body out, so what follows could be a body or a request."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(GET)
    async with running_server(refuse) as (_, port):
        response = await exchange(port, head, GET)
    assert response.count(b"HTTP/1.1") == 1
    assert response.endswith(b"refused")


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    ended = asyncio.Event()

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 20_000_000)
        ended.set()

    limits = msgspec.structs.replace(LIMITS, request_timeout_seconds=0.1)
    async with running_server(application, limits=limits) as (server, port), connection(port) as (_, writer):
        writer.write(GET)
        await ended.wait()
        await wait_until_no_connections(server)


async def test_the_input_that_all_connections_hold_back_is_bounded() -> None:
    """The oldest of the incomplete heads makes room, so that whoever leaves them incomplete keeps nobody out."""
    limits = msgspec.structs.replace(LIMITS, held_input_bytes=100_000)
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
    async with (
        running_server(EchoApplication(), limits=limits) as (_, port),
        connection(port) as (refused, first),
        connection(port) as (_, second),
        connection(port) as (reader, writer),
    ):
        first.write(head + b"y" * 50_000)
        await asyncio.sleep(0.1)
        second.write(head + b"y" * 45_000)
        await asyncio.sleep(0.1)
        writer.write(head + b"y" * 10_000)
        assert (await refused.readline()).startswith(b"HTTP/1.1 503 ")
        writer.write(b"\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        assert (await exchange(port, CLOSING_GET[:-2], b"\r\n")).startswith(b"HTTP/1.1 200 ")
        second.write(b"\r\n\r\n")


async def test_requests_that_wait_count_towards_the_input_that_is_held() -> None:
    """Their heads are memory as well: 8 of 64 KiB for each connection whose client does not read."""
    has_begun, may_answer = asyncio.Event(), asyncio.Event()

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        has_begun.set()
        await may_answer.wait()
        await respond(send, b"answered")

    limits = msgspec.structs.replace(LIMITS, held_input_bytes=150_000)
    request = GET[:-2] + b"X: " + b"y" * 30_000 + b"\r\n\r\n"
    async with running_server(application, limits=limits) as (_, port), connection(port) as (reader, writer):
        writer.write(request * 6)
        await writer.drain()
        await has_begun.wait()
        await asyncio.sleep(0.1)
        assert requests_in_memory() <= 2, "the request that is served, and the error"
        may_answer.set()
        responses = await reader.read()
    assert re.findall(rb"HTTP/1.1 (\d+)", responses) == [b"200", b"503"]


def in_memory(*types: type) -> int:
    return sum(isinstance(thing, types) for thing in gc.get_objects())


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Only reference counts free memory: the collector counts objects, and each of these can hold a head of 64 KiB."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize(
    "request_bytes",
    [
        GET,
        CHUNKED_POST + b"0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 70_000,
        CHUNKED_POST + b"z\r\n",
        WEBSOCKET_HANDSHAKE + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["get", "chunked", "invalid", "too long", "malformed chunk", "websocket", "no key"],
)
async def test_nothing_of_a_closed_connection_stays_in_memory(request_bytes: bytes) -> None:
    kinds = (HttpConnection, WebSocketProtocol, RequestResponseCycle, RequestHead, httptools.HttpRequestParser)
    echo = EchoApplication()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(ConnectionError):
            await echo(scope, receive, send)
        echo.scopes.clear()

    async with running_server(application) as (server, port):
        for _ in range(3):
            async with connection(port) as (reader, writer):
                writer.write(request_bytes)
                await reader.read(1)
        await wait_until_no_connections(server)
        await asyncio.sleep(0)
        assert in_memory(*kinds) == 0


@pytest.mark.usefixtures("without_collector")
async def test_nothing_stays_of_a_websocket_that_ends_with_a_malformed_frame() -> None:
    async with running_server(EchoApplication()) as (server, port):
        async with connection(port) as (reader, writer):
            writer.write(WEBSOCKET_HANDSHAKE + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"\xff\xff")
            await reader.read()
        await wait_until_no_connections(server)
        await asyncio.sleep(0)
        assert in_memory(HttpConnection, WebSocketProtocol) == 0


@pytest.mark.usefixtures("without_collector")
async def test_an_idle_connection_keeps_nothing_of_its_last_request() -> None:
    field = b"X: " + b"y" * 60_000 + b"\r\n"
    async with running_server(refuse) as (_, port), connection(port) as (reader, writer):
        tracemalloc.start()
        for _ in range(20):
            writer.write(GET[:-2] + field + b"\r\n")
            await read_response(reader)
        held_bytes, _peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert held_bytes < 200_000, "the client's own buffers, and no head of 60 KB"
