"""The HTTP server: its limits and its shutdown, over real sockets."""

import asyncio
import contextlib
import logging

import msgspec
import pytest

from stagebook.api.asgi import Receive, Scope, Send
from stagebook.server.http import http_server
from stagebook.server.http.request_head import HEAD_LIMIT_BYTES
from tests.server.http.http_harness import (
    DEADLINE_SECONDS,
    LIMITS,
    WEBSOCKET_HANDSHAKE,
    connection,
    exchange,
    read_body,
    respond,
    running_server,
)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await receive()
        return
    await respond(send, b"hello")


async def test_a_request_is_served() -> None:
    async with running_server(hello) as (_, port):
        response = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"hello")
    assert b"uvicorn" not in response


async def test_the_head_limit_applies_to_each_request_of_a_connection() -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"x" * (HEAD_LIMIT_BYTES // 2) + b"\r\n"
    async with running_server(hello) as (_, port):
        response = await exchange(port, (request + b"\r\n") * 5 + request + b"Connection: close\r\n\r\n")
    assert response.count(b"HTTP/1.1 200 OK") == 6


@pytest.mark.parametrize("head", [b"X-Long: " + b"x" * 4_000_000, b"X: y\r\n" * 700_000], ids=["one", "many"])
async def test_a_request_head_above_the_limit_is_refused(head: bytes) -> None:
    async with running_server(hello) as (_, port):
        response = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n" + head)
    assert b"200 OK" not in response


async def test_a_request_that_is_not_http_is_refused() -> None:
    async with running_server(hello) as (_, port):
        assert (await exchange(port, b"\x16\x03\x01 hello\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "start",
    [b"", b"GET / HTTP/1.1\r\nHost", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT"],
    ids=["silent", "slow head", "slow second request"],
)
async def test_a_request_that_is_not_received_in_time_closes_the_connection(start: bytes) -> None:
    limits = msgspec.structs.replace(LIMITS, request_timeout_seconds=0.5)
    async with running_server(hello, limits=limits) as (_, port):
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

    async with running_server(hello, before_close=before_close) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WEBSOCKET_HANDSHAKE + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        server.should_exit = True
        async with asyncio.timeout(DEADLINE_SECONDS):
            await reader.read()
        seen.append("closed")
        writer.transport.abort()
    assert seen == ["new connection refused in before_close", "old connection open in before_close", "closed"]


async def test_a_server_that_stops_keeps_no_connection_for_another_request() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            begun.set()
            await may_end.wait()
        await respond(send, b"hello")

    async def before_close() -> None:
        assert await idle_reader.read() == b""
        may_end.set()
        assert b"connection: close" in (await busy_reader.read()).lower()
        seen.append("both closed in before_close")

    seen: list[str] = []
    async with (
        running_server(application, before_close=before_close) as (server, port),
        connection(port) as (idle_reader, idle),
        connection(port) as (busy_reader, busy),
    ):
        idle.write(request)
        await idle_reader.readuntil(b"hello")
        busy.write(request.replace(b"/ ", b"/slow "))
        await begun.wait()
        server.should_exit = True
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not seen:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)


async def test_shutdown_disconnects_clients_that_do_not_send_or_read_and_logs_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_server, "CLOSE_SECONDS", 0.05)
    ended: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            with pytest.raises(ConnectionError):
                await read_body(receive)
        else:
            await receive()
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            with contextlib.suppress(OSError):
                while True:
                    await send({"type": "websocket.send", "text": "x" * 65_536})
        ended.append(scope["type"])

    async with (
        running_server(application) as (server, port),
        connection(port) as (_, incomplete),
        connection(port) as (reader, unread),
    ):
        incomplete.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhel")
        unread.write(WEBSOCKET_HANDSHAKE + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        server.should_exit = True
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(ended) < 2:  # noqa: ASYNC110 - the end of two applications
                await asyncio.sleep(0.01)
    assert sorted(ended) == ["http", "websocket"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
