"""Calls to LiveKit end within their bounds, whatever answers. Each test has a server that sends certain bytes."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_http import LiveKitAnswer, LiveKitCallError, call_livekit, livekit_client
from stagebook.media.livekit.offers.whip_client import WhipClient
from stagebook.media.livekit.room_service import RoomService, RoomServiceError
from stagebook.media.port import MediaRefusedError, RefusalReason
from tests.media.livekit.fake_livekit import KEY

OK = b"HTTP/1.1 200 OK\r\n"


class RawServer:
    """Answers each request with `parts`, and notes the requests. It stops when the client closes the connection."""

    def __init__(self, *parts: bytes, repeat_last: bool = False, pause_seconds: float = 0.0) -> None:
        self.url = ""
        self.requests: list[bytes] = []
        self.sent_bytes = 0
        self._parts = parts
        self._repeat_last = repeat_last
        self._pause_seconds = pause_seconds

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head)
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
                await reader.readexactly(length)
                for part in self._parts:
                    await self._send(writer, part)
                while self._repeat_last:
                    await self._send(writer, self._parts[-1])
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, part: bytes) -> None:
        writer.write(part)
        await writer.drain()
        self.sent_bytes += len(part)
        await asyncio.sleep(self._pause_seconds)


@asynccontextmanager
async def serving(server: RawServer) -> AsyncIterator[httpx.AsyncClient]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening, livekit_client(max_connections=2) as client:
        yield client


def answer(body: bytes, *, status: bytes = OK, headers: bytes = b"") -> bytes:
    return status + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def call(client: httpx.AsyncClient, url: str, *, timeout_seconds: float = 5.0) -> LiveKitAnswer:
    return await call_livekit(
        client, "POST", url, content=b"x", headers={}, timeout_seconds=timeout_seconds, max_size_bytes=1_000
    )


async def failure(server: RawServer, *, timeout_seconds: float = 5.0) -> str:
    async with serving(server) as client:
        with pytest.raises(LiveKitCallError) as caught:
            await call(client, server.url, timeout_seconds=timeout_seconds)
    return str(caught.value)


async def test_an_answer_that_fits_is_returned_with_any_status() -> None:
    server = RawServer(answer(b"y" * 1_000, status=b"HTTP/1.1 404 No\r\n", headers=b"ETag: one\r\n"))
    async with serving(server) as client:
        answered = await call(client, server.url)
    assert (answered.status, answered.headers["etag"], answered.text) == (404, "one", "y" * 1_000)


async def test_a_body_without_an_end_is_read_up_to_the_bound() -> None:
    server = RawServer(OK + b"Connection: close\r\n\r\n", b"z" * 65_536, repeat_last=True)
    assert "more than 1000 bytes" in await failure(server)
    assert server.sent_bytes < 16 * 2**20, "what the buffers of the sockets hold"


async def test_a_compressed_answer_is_refused_unread() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    server = RawServer(answer(bomb, headers=b"Content-Encoding: gzip\r\n"))
    assert "compressed" in await failure(server)
    assert b"accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize(
    "server",
    [
        RawServer(OK + b"Content-Length: 900\r\n\r\n", b"z", repeat_last=True, pause_seconds=0.01),
        RawServer(b"HTTP/1.1 200 OK\r\nA: ", b"z", repeat_last=True, pause_seconds=0.01),
        RawServer(b""),
    ],
    ids=["slow body", "slow header", "silent"],
)
async def test_the_time_limit_covers_the_whole_call(server: RawServer) -> None:
    assert "TimeoutError" in await failure(server, timeout_seconds=0.3)


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH\r\n\r\n", OK + b"A: " + b"z" * 200_000 + b"\r\n\r\n"], ids=["not HTTP", "large header"]
)
async def test_what_is_not_http_is_refused(data: bytes) -> None:
    assert "RemoteProtocolError" in await failure(RawServer(data))


async def test_redirects_are_not_followed_and_cookies_are_not_kept() -> None:
    elsewhere = RawServer(answer(b"stolen"))
    async with serving(elsewhere):
        headers = b"Location: %s/\r\nSet-Cookie: a=b\r\n" % elsewhere.url.encode()
        server = RawServer(answer(b"", status=b"HTTP/1.1 307 Moved\r\n", headers=headers))
        async with serving(server) as client:
            statuses = [(await call(client, server.url)).status for _ in range(2)]
    assert (statuses, elsewhere.requests) == ([307, 307], [])
    assert b"cookie" not in server.requests[1].lower()


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (answer(b"<html>Welcome</html>", headers=b"Content-Type: text/html\r\n"), "not LiveKit's"),
        (answer(b""), "not LiveKit's"),
        (answer(b"\xff", headers=b"Content-Type: application/protobuf\r\n"), "not protobuf"),
        (answer(b"[" * 100_000, status=b"HTTP/1.1 502 Bad\r\n"), "HTTP status 502"),
        (answer(b"not found", status=b"HTTP/1.1 404 No\r\n"), "HTTP status 404"),
        (answer(b"", status=b"HTTP/1.1 302 Moved\r\nLocation: /login\r\n"), "HTTP status 302"),
    ],
    ids=["a page", "nothing", "no message", "deep JSON", "another 404", "a login"],
)
async def test_the_answer_of_a_proxy_does_not_say_that_nobody_is_there(data: bytes, detail: str) -> None:
    server = RawServer(data)
    async with serving(server) as client:
        service = RoomService(client, url=server.url, access=LiveKitAccess(KEY, wall_clock=lambda: 1e9))
        with pytest.raises(RoomServiceError, match=detail) as caught:
            await service.get_participant("room", "identity")
    assert caught.value.code == ""


def created(location: bytes) -> bytes:
    return answer(b"v=0", status=b"HTTP/1.1 201 Created\r\n", headers=b"Location: %s\r\n" % location)


@pytest.mark.parametrize(
    "location",
    [b"https://elsewhere.example/x", b"//elsewhere.example/x", b"", b"/" + b"z" * 3_000, b"/\xff"],
    ids=["URL", "host", "none", "long", "bytes"],
)
async def test_a_whip_resource_is_a_path_of_livekit(location: bytes) -> None:
    server = RawServer(created(location))
    async with serving(server) as client:
        with pytest.raises(MediaRefusedError) as caught:
            await WhipClient(client, url=server.url).publish("v=0", token="token")
    assert caught.value.reason is RefusalReason.ENGINE_LOST
