"""The media bus server: authentication, malformed messages, and the end of connections."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import FEED_DECODER, MAX_FEED_MESSAGE_BYTES, FeedMessage, Hello, Unit
from stagebook.media.rtc.sfu.encoder import media_bus_server
from stagebook.media.rtc.sfu.encoder.media_bus_server import FeedRefusedError, MediaBusServer, SendReply
from tests.media.rtc.feed_client import FeedClient, closing_feeds
from tests.media.rtc.running_engine import wait_until

HELLO = Hello(token="secret", video_parameters="")
UNIT = Unit(kind=MediaKind.AUDIO, timestamp=1, is_keyframe=False, payloads=(b"audio",))
REFUSED = Unit(kind=MediaKind.AUDIO, timestamp=2, is_keyframe=False, payloads=())
FAILING = Unit(kind=MediaKind.AUDIO, timestamp=3, is_keyframe=False, payloads=())


class RecordingListener:
    """Accepts one token and records the units and the closed feeds."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.closed: list[str] = []

    def feed_connected(self, hello: FeedMessage, reply: SendReply, now: float) -> str:
        """Accept the token `secret`."""
        del reply, now
        if not isinstance(hello, Hello) or hello.token != "secret":
            raise FeedRefusedError("wrong token")
        return "c"

    def feed_received(self, connection_id: str, message: FeedMessage, now: float) -> None:
        """Record the unit; refuse it, or raise, if it is one of the special ones."""
        del now
        assert connection_id == "c"
        assert isinstance(message, Unit)
        if message == REFUSED:
            raise FeedRefusedError("bad")
        if message == FAILING:
            raise ZeroDivisionError
        self.units.append(message)

    def feed_closed(self, connection_id: str) -> None:
        """Record the id."""
        self.closed.append(connection_id)


class Scenario:
    """A running server and its listener."""

    def __init__(self, server: MediaBusServer[FeedMessage], listener: RecordingListener) -> None:
        assert server.path is not None
        self.server, self.listener, self.path = server, listener, server.path

    async def authenticated_client(self) -> FeedClient:
        """A client whose Hello was accepted and that has sent one unit."""
        client = await FeedClient.connect(self.path)
        client.send(HELLO)
        client.send(UNIT)
        await wait_until(lambda: self.listener.units == [UNIT], "the first unit")
        return client


@asynccontextmanager
async def running_server() -> AsyncIterator[Scenario]:
    listener = RecordingListener()
    server = MediaBusServer(listener, FEED_DECODER, clock=time.monotonic, randomness=random.SystemRandom())
    with tempfile.TemporaryDirectory(prefix="stagebook-") as directory:
        await server.start(directory)
        try:
            async with closing_feeds():
                yield Scenario(server, listener)
        finally:
            await server.stop()


async def test_the_listener_receives_units_and_the_end() -> None:
    async with running_server() as scenario:
        client = await scenario.authenticated_client()
        await client.close()
        await wait_until(lambda: scenario.listener.closed == ["c"], "the end")


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x01\xc0",
        b"nonsense",
        (MAX_FEED_MESSAGE_BYTES + 1).to_bytes(4),
    ],
)
async def test_a_malformed_first_message_ends_the_connection(data: bytes) -> None:
    async with running_server() as scenario:
        client = await FeedClient.connect(scenario.path)
        client.writer.write(data)
        client.writer.write_eof()
        assert await client.is_disconnected()
        assert scenario.listener.closed == []


@pytest.mark.parametrize("message", [Hello(token="wrong", video_parameters=""), UNIT])
async def test_a_first_message_without_the_token_ends_the_connection(message: Hello | Unit) -> None:
    async with running_server() as scenario:
        client = await FeedClient.connect(scenario.path)
        client.send(message)
        assert await client.is_disconnected()
        assert (scenario.listener.units, scenario.listener.closed) == ([], [])


@pytest.mark.parametrize("message", [HELLO, REFUSED, FAILING])
async def test_a_feed_that_breaks_a_rule_is_closed(message: Hello | Unit) -> None:
    async with running_server() as scenario:
        client = await scenario.authenticated_client()
        client.send(message)
        client.send(UNIT)
        assert await client.is_disconnected()
        assert (scenario.listener.units, scenario.listener.closed) == ([UNIT], ["c"])


async def test_a_client_that_sends_no_hello_is_disconnected_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_bus_server, "HELLO_TIMEOUT_SECONDS", 0.05)
    async with running_server() as scenario:
        client = await FeedClient.connect(scenario.path)
        assert await client.is_disconnected()


async def test_unauthenticated_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_bus_server, "MAX_UNAUTHENTICATED", 1)
    async with running_server() as scenario:
        first, second = await FeedClient.connect(scenario.path), await FeedClient.connect(scenario.path)
        assert await second.is_disconnected()
        first.send(HELLO)
        first.send(UNIT)
        await wait_until(lambda: scenario.listener.units == [UNIT], "the first unit")
        third = await FeedClient.connect(scenario.path)
        third.send(Hello(token="wrong", video_parameters=""))
        assert await third.is_disconnected()


async def test_after_disconnect_the_listener_is_not_called() -> None:
    async with running_server() as scenario:
        client = await scenario.authenticated_client()
        client.send(UNIT)
        scenario.server.disconnect("c")
        scenario.server.disconnect("unknown")
        assert await client.is_disconnected()
        assert (scenario.listener.units, scenario.listener.closed) == ([UNIT], [])


async def test_stop_closes_all_connections_and_deletes_the_socket() -> None:
    async with running_server() as scenario:
        unauthenticated, client = await FeedClient.connect(scenario.path), await scenario.authenticated_client()
        mode = _mode_of(scenario.path)
        await scenario.server.stop()
        assert (mode, _mode_of(scenario.path)) == (0o600, None)
        for disconnected in (client, unauthenticated):
            assert await disconnected.is_disconnected()
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            await asyncio.open_unix_connection(scenario.path)


def _mode_of(path: str) -> int | None:
    try:
        return Path(path).stat().st_mode & 0o777
    except FileNotFoundError:
        return None


async def test_the_error_for_a_path_that_is_too_long_names_the_path() -> None:
    server = MediaBusServer(RecordingListener(), FEED_DECODER, clock=time.monotonic, randomness=random.SystemRandom())
    with pytest.raises(OSError, match=r"cannot listen for feeds in /xxx.*path too long"):
        await server.start("/" + "x" * 120)
    await server.stop()
