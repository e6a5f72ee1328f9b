"""The socket of feeds: who may speak on it, and what becomes of those who speak nonsense."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, Hello, Unit
from stagebook.media.rtc.sfu.encoder import media_bus_server
from stagebook.media.rtc.sfu.encoder.media_bus_server import FeedRefusedError, MediaBusServer
from tests.media.rtc.feeding import FeedClient, closing_feeds
from tests.media.rtc.running_engine import wait_until

HELLO = Hello(token="secret", video_parameters="")
UNIT = Unit(kind=MediaKind.AUDIO, timestamp=1, is_keyframe=False, payloads=(b"sound",))
BAD = Unit(kind=MediaKind.AUDIO, timestamp=2, is_keyframe=False, payloads=())
FAULT = Unit(kind=MediaKind.AUDIO, timestamp=3, is_keyframe=False, payloads=())


class Listener:
    """Lets in who knows the secret, and notes what is brought."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.ended: list[str] = []

    def feed_connected(self, hello: Hello, _now: float) -> str:
        """Let in."""
        if hello.token != "secret":
            raise FeedRefusedError("not the secret")
        return "c"

    def feed_received(self, connection_id: str, unit: Unit, _now: float) -> None:
        """Note, refuse, or fail."""
        assert connection_id == "c"
        if unit == BAD:
            raise FeedRefusedError("bad")
        if unit == FAULT:
            raise ZeroDivisionError
        self.units.append(unit)

    def feed_closed(self, connection_id: str) -> None:
        """Note."""
        self.ended.append(connection_id)


class Served:
    """A server, its listener and its path."""

    def __init__(self, server: MediaBusServer, listener: Listener) -> None:
        assert server.path is not None
        self.server, self.listener, self.path = server, listener, server.path

    async def welcomed(self) -> FeedClient:
        """A client that has been let in."""
        client = await FeedClient.connect(self.path)
        client.send(HELLO)
        client.send(UNIT)
        await wait_until(lambda: self.listener.units == [UNIT], "the first unit")
        return client


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    listener = Listener()
    server = MediaBusServer(listener, clock=time.monotonic, randomness=random.SystemRandom())
    with tempfile.TemporaryDirectory(prefix="stagebook-") as directory:
        await server.start(directory)
        try:
            async with closing_feeds():
                yield Served(server, listener)
        finally:
            await server.stop()


async def test_units_come_to_the_listener_and_so_does_the_end() -> None:
    async with serving() as it:
        client = await it.welcomed()
        await client.close()
        await wait_until(lambda: it.listener.ended == ["c"], "the end")


@pytest.mark.parametrize(
    "said",
    [
        b"\0\0\0\x01\xc0",
        b"nonsense",
        (MAX_FEED_MESSAGE_BYTES + 1).to_bytes(4),
    ],
)
async def test_who_speaks_nonsense_first_is_hung_up_on(said: bytes) -> None:
    async with serving() as it:
        client = await FeedClient.connect(it.path)
        client.writer.write(said)
        client.writer.write_eof()
        assert await client.is_hung_up()
        assert it.listener.ended == []


@pytest.mark.parametrize("message", [Hello(token="wrong", video_parameters=""), UNIT])
async def test_who_does_not_say_the_secret_first_is_hung_up_on(message: Hello | Unit) -> None:
    async with serving() as it:
        client = await FeedClient.connect(it.path)
        client.send(message)
        assert await client.is_hung_up()
        assert (it.listener.units, it.listener.ended) == ([], [])


@pytest.mark.parametrize("message", [HELLO, BAD, FAULT])
async def test_a_feed_that_breaks_a_rule_ends(message: Hello | Unit) -> None:
    async with serving() as it:
        client = await it.welcomed()
        client.send(message)
        client.send(UNIT)
        assert await client.is_hung_up()
        assert (it.listener.units, it.listener.ended) == ([UNIT], ["c"])


async def test_who_says_nothing_is_hung_up_on_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_bus_server, "HELLO_TIMEOUT_SECONDS", 0.05)
    async with serving() as it:
        client = await FeedClient.connect(it.path)
        assert await client.is_hung_up()


async def test_there_are_only_so_many_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_bus_server, "MAX_UNAUTHENTICATED", 1)
    async with serving() as it:
        first, second = await FeedClient.connect(it.path), await FeedClient.connect(it.path)
        assert await second.is_hung_up()
        first.send(HELLO)
        first.send(UNIT)
        await wait_until(lambda: it.listener.units == [UNIT], "the first unit")
        third = await FeedClient.connect(it.path)
        third.send(Hello(token="wrong", video_parameters=""))
        assert await third.is_hung_up()


async def test_a_feed_that_is_hung_up_on_brings_nothing_more_and_its_end_is_not_told() -> None:
    async with serving() as it:
        client = await it.welcomed()
        client.send(UNIT)
        it.server.disconnect("c")
        it.server.disconnect("unknown")
        assert await client.is_hung_up()
        assert (it.listener.units, it.listener.ended) == ([UNIT], [])


async def test_stop_hangs_up_on_all_and_leaves_no_socket() -> None:
    async with serving() as it:
        stranger, client = await FeedClient.connect(it.path), await it.welcomed()
        mode = _mode_of(it.path)
        await it.server.stop()
        assert (mode, _mode_of(it.path)) == (0o600, None)
        for hung in (client, stranger):
            assert await hung.is_hung_up()
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            await asyncio.open_unix_connection(it.path)


def _mode_of(path: str) -> int | None:
    try:
        return Path(path).stat().st_mode & 0o777
    except FileNotFoundError:
        return None


async def test_a_path_that_is_too_long_is_named() -> None:
    server = MediaBusServer(Listener(), clock=time.monotonic, randomness=random.SystemRandom())
    with pytest.raises(OSError, match=r"cannot listen for encoder feeds in /xxx.*path too long"):
        await server.start("/" + "x" * 120)
    await server.stop()
