"""The door behind the real HTTP server: what only sockets show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from stagebook.api.aws.rest_json.request_body import DRAIN_SIZE_BYTES, MAXIMUM_SIZE_BYTES
from stagebook.config.rules import Address
from stagebook.server.http_server import HttpBounds, HttpServer
from stagebook.server.listen_sockets import listen
from tests.api.aws.harness import GET_STAGE, STAGE_ARN, Request, new_door, signed, signed_call

DEADLINE_SECONDS = 20.0
BOUNDS = HttpBounds(
    connections=100,
    request_timeout_seconds=DEADLINE_SECONDS,
    keep_alive_seconds=30,
    websocket_message_size_bytes=4_096,
    websocket_ping_seconds=30,
    websocket_timeout_seconds=30,
    shutdown_timeout_seconds=5,
)


async def _nothing() -> None:
    """End without a farewell."""


@asynccontextmanager
async def connected(
    *, body_timeout_seconds: float = 60.0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection to a door behind the HTTP server."""
    started = asyncio.Event()
    with listen(Address(host="127.0.0.1", port=0)) as bound:
        server = HttpServer(
            new_door(body_timeout_seconds=body_timeout_seconds),
            bounds=BOUNDS,
            trusted_proxies=(),
            on_started=started.set,
            before_end=_nothing,
        )
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        async with asyncio.timeout(DEADLINE_SECONDS):
            await started.wait()
            reader, writer = await asyncio.open_connection(*bound.getsockname())
            yield reader, writer
            writer.close()
            server.should_exit = True
            await serving


def head(request: Request, *, framing: str) -> bytes:
    target = request.raw_path.decode() + (f"?{request.query.decode()}" if request.query else "")
    lines = [f"{name.decode()}: {value.decode()}" for name, value in request.headers]
    return "\r\n".join([f"{request.method} {target} HTTP/1.1", *lines, framing, "", ""]).encode()


def whole(request: Request) -> bytes:
    return head(request, framing=f"content-length: {len(request.body)}") + request.body


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> tuple[int, bytes, bytes]:
    """Return status, head and body of the next answer."""
    top = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(top.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(top.split()[1]), top, await reader.readexactly(length) if has_body else b""


async def test_one_connection_serves_good_calls_and_mistakes_in_turn() -> None:
    mistakes = {
        404: signed("POST", "/NoSuchOperation", body=b"x" * 1_000),
        405: signed("GET", "/GetStage"),
        400: signed("POST", "/GetStage", body=b"{"),
        403: signed_call("GetStage", {"arn": STAGE_ARN}, secret="wrong"),
        413: signed("POST", "/GetStage", body=b"x" * (MAXIMUM_SIZE_BYTES + 1)),
    }
    async with connected() as (reader, writer):
        for status, mistake in mistakes.items():
            writer.write(whole(mistake) + whole(GET_STAGE))
            assert (await read_answer(reader))[0] == status
            assert (await read_answer(reader))[0] == 200


async def test_a_chunked_body_is_taken() -> None:
    async with connected() as (reader, writer):
        writer.write(head(GET_STAGE, framing="transfer-encoding: chunked"))
        for part in (GET_STAGE.body[:7], GET_STAGE.body[7:], b""):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))

        status, _, body = await read_answer(reader)

    assert (status, body) == (200, b'{"stage":{"arn":"%s"}}' % STAGE_ARN.encode())


async def test_the_answer_to_head_has_no_body() -> None:
    async with connected() as (reader, writer):
        writer.write(whole(signed("HEAD", "/GetStage")) + whole(GET_STAGE))

        status, top, _ = await read_answer(reader, has_body=False)
        assert status == 405
        assert b"\r\nallow: post\r\n" in top
        assert (await read_answer(reader))[0] == 200


@pytest.mark.parametrize("path", [f"/tags/{STAGE_ARN}", "/tags/" + STAGE_ARN.replace(":", "%3A").replace("/", "%2F")])
async def test_the_path_is_verified_as_it_was_sent(path: str) -> None:
    async with connected() as (reader, writer):
        writer.write(whole(signed("GET", path)))

        status, _, body = await read_answer(reader)

    assert status == 404
    assert b"Stagebook does not have the operation ListTagsForResource yet." in body


async def test_an_endless_body_is_cut_off() -> None:
    async with connected() as (reader, writer):
        writer.write(head(signed("POST", "/GetStage"), framing=f"content-length: {10**12}"))
        writer.write(b"x" * (DRAIN_SIZE_BYTES + 1))

        status, top, _ = await read_answer(reader)
        assert await reader.read() == b""

    assert status == 413
    assert b"\r\nconnection: close\r\n" in top


async def test_a_body_that_stops_is_answered_and_cut_off() -> None:
    async with connected(body_timeout_seconds=0.1) as (reader, writer):
        writer.write(head(GET_STAGE, framing="content-length: 100") + b"{")

        assert (await read_answer(reader))[0] == 408
        assert await reader.read() == b""


async def test_a_client_that_leaves_in_the_middle_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as logs:
        async with connected() as (_, writer):
            writer.write(head(GET_STAGE, framing="content-length: 100") + b"{")
            await writer.drain()
            writer.transport.abort()

    assert not logs
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
