"""The sending end of a relay: batches, and a receiver that does not read."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from stagebook.media.rtc.sfu.encoder.gop_cache import TimedFrame
from stagebook.media.rtc.sfu.relay.relay_messages import (
    RELAY_DECODER,
    EncoderRelayed,
    FrameCached,
    PacketRelayed,
    RelayHello,
    RelayMessage,
)
from stagebook.media.rtc.sfu.relay.source_relay import (
    MAX_BATCH_BYTES,
    MAX_UNSENT_BYTES,
    MAX_UNSENT_TAP_BYTES,
    SourceRelay,
)
from stagebook.media.worker.framing import MessageReader

PACKET_BYTES = 1200
SOCKET_BUFFERS_BYTES = 2 << 20
"""More than the system holds of a unix socket."""


@contextlib.asynccontextmanager
async def relay_and_receiver(
    *, is_tap: bool, batch_seconds: float = 0.0
) -> AsyncIterator[tuple[SourceRelay, socket.socket]]:
    """A relay over a real socket, and its other end, which nobody reads."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(0)
    _, writer = await asyncio.open_connection(sock=ours)
    relay = SourceRelay(writer, token="t", batch_seconds=batch_seconds, is_tap=is_tap)
    try:
        yield relay, theirs
    finally:
        relay.close()
        theirs.close()


async def receive(receiver: socket.socket, count: int) -> list[RelayMessage]:
    reader, writer = await asyncio.open_connection(sock=receiver)
    messages = MessageReader(RELAY_DECODER, max_bytes=MAX_UNSENT_BYTES)
    try:
        return [await messages.next(reader) for _ in range(count)]
    finally:
        writer.close()


@pytest.mark.parametrize(("is_tap", "limit_bytes"), [(True, MAX_UNSENT_TAP_BYTES), (False, MAX_UNSENT_BYTES)])
async def test_a_receiver_that_does_not_read_ends_the_relay(*, is_tap: bool, limit_bytes: int) -> None:
    async with relay_and_receiver(is_tap=is_tap) as (relay, _):
        packets = 0
        while not relay._writer.is_closing():
            relay.relay_packet(bytes(PACKET_BYTES))
            packets += 1
            assert packets * PACKET_BYTES < limit_bytes + SOCKET_BUFFERS_BYTES
        assert packets * PACKET_BYTES > limit_bytes / 2
        relay.relay_packet(bytes(PACKET_BYTES))


async def test_what_a_receiver_of_batches_is_sent_is_written_once() -> None:
    async with relay_and_receiver(is_tap=True, batch_seconds=0.05) as (relay, receiver):
        for number in range(3):
            relay.relay_packet(bytes([number]))
        with pytest.raises(BlockingIOError):
            receiver.recv(1)
        messages = await receive(receiver, 4)
        assert messages == [RelayHello(token="t"), *(PacketRelayed(packet=bytes([number])) for number in range(3))]


async def test_a_large_batch_does_not_wait() -> None:
    async with relay_and_receiver(is_tap=True, batch_seconds=1_000.0) as (relay, receiver):
        packets = MAX_BATCH_BYTES // PACKET_BYTES + 1
        for _ in range(packets):
            relay.relay_packet(bytes(PACKET_BYTES))
        await receive(receiver, packets - 1)


async def test_without_batches_each_message_is_written_at_once() -> None:
    async with relay_and_receiver(is_tap=False) as (relay, receiver):
        written = 0
        for _ in range(3):
            relay.relay_packet(bytes(PACKET_BYTES))
            before, written = written, len(receiver.recv(1 << 20, socket.MSG_PEEK))
            assert written - before > PACKET_BYTES


async def test_a_gop_that_leaves_no_room_is_not_sent_to_a_tap() -> None:
    for size_bytes, cached in ((10, 3), (MAX_UNSENT_TAP_BYTES // 6 + 1, 0)):
        async with relay_and_receiver(is_tap=True) as (relay, receiver):
            relay.start_encoder("p", [TimedFrame(number, (bytes(size_bytes),)) for number in range(3)])
            messages = await receive(receiver, 2 + cached)
            assert messages[1] == EncoderRelayed(video_parameters="p")
            assert [message.timestamp for message in messages if isinstance(message, FrameCached)] == list(
                range(cached)
            )
