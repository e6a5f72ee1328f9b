"""The AWS API behind the real HTTP server, over sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from stagebook.api.aws.rest_json.request_body import DRAIN_SIZE_BYTES, MAXIMUM_SIZE_BYTES
from stagebook.config.rules import Address
from stagebook.server.http.http_server import HttpLimits, HttpServer
from stagebook.server.listen_sockets import bind_listen_socket
from tests.api.aws.asgi_harness import GET_STAGE, STAGE_ARN, Request, new_api, signed, signed_call, unsigned

DEADLINE_SECONDS = 20.0
LIMITS = HttpLimits(
    connections=100,
    connections_per_network=100,
    request_timeout_seconds=DEADLINE_SECONDS,
    keep_alive_seconds=30,
    websocket_message_size_bytes=4_096,
    websocket_ping_seconds=30,
    websocket_timeout_seconds=30,
    shutdown_timeout_seconds=5,
)


async def _nothing() -> None:
    """Do nothing before the server ends."""


@asynccontextmanager
async def connected(
    *, body_timeout_seconds: float = 60.0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection to an AwsApi behind the HTTP server."""
    started = asyncio.Event()
    with bind_listen_socket(Address(host="127.0.0.1", port=0)) as bound:
        server = HttpServer(
            new_api(body_timeout_seconds=body_timeout_seconds),
            limits=LIMITS,
            trusted_proxies=(),
            on_started=started.set,
            before_close=_nothing,
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


async def read_response(reader: asyncio.StreamReader, *, has_body: bool = True) -> tuple[int, bytes, bytes]:
    """Return the status, the lower-case head and the body of the next response."""
    response_head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(response_head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(response_head.split()[1]), response_head, await reader.readexactly(length) if has_body else b""


async def test_one_connection_serves_errors_and_successful_calls_in_turn() -> None:
    errors = {
        404: signed("POST", "/NoSuchOperation", body=b"x" * 1_000),
        405: signed("GET", "/GetStage"),
        400: signed("POST", "/GetStage", body=b"{"),
        403: signed_call("GetStage", {"arn": STAGE_ARN}, secret="wrong"),
        413: signed("POST", "/GetStage", body=b"x" * (MAXIMUM_SIZE_BYTES + 1)),
    }
    async with connected() as (reader, writer):
        for status, request in errors.items():
            writer.write(whole(request) + whole(GET_STAGE))
            assert (await read_response(reader))[0] == status
            assert (await read_response(reader))[0] == 200


async def test_a_chunked_body_is_accepted() -> None:
    async with connected() as (reader, writer):
        writer.write(head(GET_STAGE, framing="transfer-encoding: chunked"))
        for part in (GET_STAGE.body[:7], GET_STAGE.body[7:], b""):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))

        status, _, body = await read_response(reader)

    assert (status, body) == (200, b'{"stage":{"arn":"%s"}}' % STAGE_ARN.encode())


async def test_the_response_to_head_has_no_body() -> None:
    async with connected() as (reader, writer):
        writer.write(whole(signed("HEAD", "/GetStage")) + whole(GET_STAGE))

        status, response_head, _ = await read_response(reader, has_body=False)
        assert status == 405
        assert b"\r\nallow: post\r\n" in response_head
        assert (await read_response(reader))[0] == 200


@pytest.mark.parametrize("path", [f"/tags/{STAGE_ARN}", "/tags/" + STAGE_ARN.replace(":", "%3A").replace("/", "%2F")])
async def test_the_path_is_verified_as_it_was_sent(path: str) -> None:
    async with connected() as (reader, writer):
        writer.write(whole(signed("GET", path)))

        status, _, body = await read_response(reader)

    assert status == 404
    assert b"Stagebook does not have the operation ListTagsForResource yet." in body


async def test_a_body_far_above_the_limit_closes_the_connection() -> None:
    async with connected() as (reader, writer):
        writer.write(head(signed("POST", "/GetStage"), framing=f"content-length: {10**12}"))
        writer.write(b"x" * (DRAIN_SIZE_BYTES + 1))

        status, response_head, _ = await read_response(reader)
        assert await reader.read() == b""

    assert status == 413
    assert b"\r\nconnection: close\r\n" in response_head


async def test_an_incomplete_body_is_answered_and_the_connection_closed() -> None:
    async with connected(body_timeout_seconds=0.1) as (reader, writer):
        writer.write(head(GET_STAGE, framing="content-length: 100") + b"{")

        assert (await read_response(reader))[0] == 408
        assert await reader.read() == b""


async def test_a_client_that_disconnects_during_the_body_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as logs:
        async with connected() as (_, writer):
            writer.write(head(GET_STAGE, framing="content-length: 100") + b"{")
            await writer.drain()
            writer.transport.abort()

    assert not logs
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (signed_call("GetStage", key_id="AKIDUNKNOWN"), b"unrecognizedclientexception"),
        (unsigned("/GetStage"), b"missingauthenticationtokenexception"),
        (signed("POST", "/GetStage", token="of another key"), b"unrecognizedclientexception"),
        (signed("POST", "/GetStage", region="eu-west-1"), b"invalidsignatureexception"),
        (signed("POST", "/nothing"), b"unknownoperationexception"),
    ],
)
async def test_a_request_is_refused_from_its_head_alone(request_: Request, error: bytes) -> None:
    """The body is not received, and the connection stays usable when the client sends it nevertheless."""
    async with connected() as (reader, writer):
        host = b"" if b"host" in request_.header_map else b"host: x\r\n"
        request_head = head(request_, framing=f"content-length: {MAXIMUM_SIZE_BYTES}")
        writer.write(request_head.replace(b"\r\n", b"\r\n" + host, 1))
        _, refusal, body = await read_response(reader)
        assert b"x-amzn-errortype: " + error in refusal
        assert json.loads(body)["message"]
        writer.write(b"x" * MAXIMUM_SIZE_BYTES + whole(GET_STAGE))
        assert (await read_response(reader))[0] == 200
