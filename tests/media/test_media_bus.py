"""Messages of a feed on a real socket pair."""

import asyncio
import socket

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import MAX_FEED_MESSAGE_BYTES, FeedMessage, FeedTicket, Hello, Unit, receive
from stagebook.media.worker.framing import BrokenStreamError, frame

MESSAGES: list[FeedMessage] = [
    Hello(token="t", video_parameters="packetization-mode=1;profile-level-id=4d001f"),
    Unit(kind=MediaKind.VIDEO, timestamp=2**40, is_keyframe=True, payloads=(b"\x67", bytes(1200))),
    Unit(kind=MediaKind.AUDIO, timestamp=0, is_keyframe=False, payloads=(b"opus",)),
]


async def received(data: bytes, count: int) -> list[FeedMessage]:
    """So many messages out of these bytes."""
    near, far = socket.socketpair()
    with near:
        near.sendall(data)
        near.shutdown(socket.SHUT_WR)
        reader, writer = await asyncio.open_unix_connection(sock=far)
        try:
            return [await receive(reader) for _ in range(count)]
        finally:
            writer.close()
            await writer.wait_closed()


async def test_messages_arrive_as_they_were_sent() -> None:
    data = b"".join(frame(message, max_bytes=MAX_FEED_MESSAGE_BYTES) for message in MESSAGES)
    assert await received(data, len(MESSAGES)) == MESSAGES


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x01\xc0", (MAX_FEED_MESSAGE_BYTES + 1).to_bytes(4) + b"x"])
async def test_an_end_and_nonsense_are_told_apart_from_messages(data: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        await received(data, 1)


def test_a_ticket_does_not_show_its_secret() -> None:
    assert "secret" not in repr(FeedTicket(path="/p", token="secret"))
