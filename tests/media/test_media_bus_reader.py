"""The receiving end of the media bus on a real socket pair, with the event loop of production and the standard one."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import FEED_DECODER, MAX_FEED_MESSAGE_BYTES, MAX_HELLO_BYTES, FeedMessage, Hello, Unit
from stagebook.media.media_bus_reader import MAX_UNREAD_BYTES, MediaBusReader
from stagebook.media.worker.framing import BrokenStreamError, frame

HELLO = Hello(token="t", video_parameters="packetization-mode=1;profile-level-id=4d001f")
MESSAGES: list[FeedMessage] = [
    HELLO,
    Unit(kind=MediaKind.VIDEO, timestamp=2**40, is_keyframe=True, payloads=(b"\x67", bytes(1200))),
    Unit(kind=MediaKind.AUDIO, timestamp=0, is_keyframe=False, payloads=(b"opus",)),
]

DEEP = (3_010).to_bytes(4) + b"\x94\xa5Hello\xa1t\xa1v" + b"\x91" * 2_998 + b"\xc0"
"""A message with a fourth element, which the decoder skips, that is nested in itself."""

Scenario = Callable[[MediaBusReader[FeedMessage], socket.socket], Awaitable[None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Run a scenario with a reader and the client's socket."""

    def run(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(_run(scenario))

    return run


async def _run(scenario: Scenario) -> None:
    async def serve(_reader: MediaBusReader[FeedMessage]) -> None:
        """The scenario itself calls `next`."""

    client, server = socket.socketpair()
    client.settimeout(0)
    with client:
        loop = asyncio.get_running_loop()
        _, reader = await loop.create_unix_connection(lambda: MediaBusReader(serve, FEED_DECODER), sock=server)
        async with asyncio.timeout(30):
            await scenario(reader, client)
        reader.close()
        await asyncio.sleep(0)


def encoded(message: FeedMessage) -> bytes:
    return bytes(frame(message, max_bytes=MAX_FEED_MESSAGE_BYTES))


def test_messages_arrive_as_they_were_sent(run: Callable[[Scenario], None]) -> None:
    async def scenario(reader: MediaBusReader[FeedMessage], client: socket.socket) -> None:
        client.sendall(b"".join(encoded(message) for message in MESSAGES))
        assert [await reader.next() for _ in MESSAGES] == MESSAGES

    run(scenario)


@pytest.mark.parametrize("part_bytes", [1, 3, 5, 1_000, 65_536, 70_000, 1 << 20])
def test_messages_may_arrive_in_parts_of_any_size(run: Callable[[Scenario], None], part_bytes: int) -> None:
    sizes = (1, 300, 65_530, 100_000, 5, 200_000) if part_bytes >= 1_000 else (1, 300, 5)
    units = [
        Unit(kind=MediaKind.VIDEO, timestamp=size, is_keyframe=False, payloads=(bytes(size), b"end")) for size in sizes
    ]

    async def scenario(reader: MediaBusReader[FeedMessage], client: socket.socket) -> None:
        async def send() -> None:
            data = encoded(HELLO) + b"".join(encoded(unit) for unit in units)
            for start in range(0, len(data), part_bytes):
                await asyncio.get_running_loop().sock_sendall(client, data[start : start + part_bytes])
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        assert [await reader.next() for _ in (HELLO, *units)] == [HELLO, *units]
        await sending

    run(scenario)


def test_complete_messages_are_read_before_the_end_is_reported(run: Callable[[Scenario], None]) -> None:
    async def scenario(reader: MediaBusReader[FeedMessage], client: socket.socket) -> None:
        client.sendall(encoded(HELLO) + encoded(MESSAGES[1])[:-1])
        client.close()
        await asyncio.sleep(0.05)
        assert await reader.next() == HELLO
        with pytest.raises(BrokenStreamError, match="closed the connection"):
            await reader.next()

    run(scenario)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\0\0\0\x01\xc0", "not a message"),
        (encoded(HELLO).replace(b"packetization", b"\xff" * 13), "not a message"),
        (encoded(HELLO) + b"\0\0\0\x01\xc0" + encoded(HELLO), "not a message"),
        (DEEP, "not a message"),
        (b"\0\0\0\0", "has 0 bytes"),
        ((MAX_HELLO_BYTES + 1).to_bytes(4) + b"x", "has 4097 bytes"),
        (encoded(HELLO) + (MAX_FEED_MESSAGE_BYTES + 1).to_bytes(4) + bytes(100_000), "has 8388609 bytes"),
    ],
)
def test_bytes_that_are_not_a_message_are_an_error(run: Callable[[Scenario], None], data: bytes, error: str) -> None:
    async def scenario(reader: MediaBusReader[FeedMessage], client: socket.socket) -> None:
        client.sendall(data)
        if data.startswith(encoded(HELLO)):
            assert await reader.next() == HELLO
        with pytest.raises(BrokenStreamError, match=error):
            await reader.next()

    run(scenario)


def test_a_client_is_slowed_down_while_its_messages_are_not_read(run: Callable[[Scenario], None]) -> None:
    unit = Unit(kind=MediaKind.VIDEO, timestamp=0, is_keyframe=True, payloads=(bytes(MAX_UNREAD_BYTES // 2),))
    count = 100

    async def scenario(reader: MediaBusReader[FeedMessage], client: socket.socket) -> None:
        data = encoded(HELLO) + encoded(unit) * count
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, data))
        await asyncio.sleep(0.2)
        assert not sending.done()
        assert await reader.next() == HELLO
        for _ in range(count):
            assert await reader.next() == unit
        await sending

    run(scenario)
