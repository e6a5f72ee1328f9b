"""One TCP connection: packets in frames, whole or not at all, within bounds."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator

import pytest

from stagebook.media.rtc.ice.tcp_connection import (
    FRAMES_PER_SECOND,
    MAX_QUEUED_AUDIO_SECONDS,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_VIDEO_BYTES,
    MAX_QUEUED_VIDEO_SECONDS,
    SMALL_PACKET_SIZE_BYTES,
    TcpConnection,
)
from stagebook.media.rtc.ice.tcp_framing import FrameReader, write_frames

LARGE = 1_100
RTP, RTCP, STUN = b"\x80\x60", b"\x80\xc9", b"\x01\x01"


class ConnectionPair:
    """A connection of the engine, and the peer's socket."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.peer = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        self.peer.settimeout(10)
        self.now = 0.0
        self.received: list[bytes] = []
        self.ended = 0
        self.connection = TcpConnection(
            accepted,
            loop=asyncio.get_running_loop(),
            clock=lambda: self.now,
            on_frames=lambda _connection, packets, _now: self.received.extend(packets),
            on_ended=self._on_ended,
        )
        self.connection.start()

    def _on_ended(self, _connection: TcpConnection) -> None:
        self.ended += 1

    def send_packet(self, size: int, number: int = 0, *, beginning: bytes = RTP) -> bool:
        """Send a packet to the peer. Returns False if it was dropped."""
        try:
            self.connection.sendto(beginning + number.to_bytes(4) + bytes(size - 4 - len(beginning)), ())
        except OSError:
            return False
        return True

    def fill(self) -> int:
        """Send large packets to the peer, which reads nothing, until one is dropped. Returns how many were not."""
        return next(number for number in itertools.count() if not self.send_packet(LARGE, number))

    async def wait_until_empty(self, reader: FrameReader) -> list[bytes]:
        """Let the peer read until the queue of the connection is empty. Returns the packets."""
        self.peer.settimeout(0)
        packets: list[bytes] = []
        async with asyncio.timeout(10):
            while self.connection.queued_bytes:
                packets += reader.feed(await asyncio.get_running_loop().sock_recv(self.peer, 1 << 20))
        return packets


@pytest.fixture(name="pair")
async def pair_fixture() -> AsyncIterator[ConnectionPair]:
    pair = ConnectionPair()
    yield pair
    pair.connection.close()
    pair.peer.close()


def number_of(packet: bytes) -> int:
    return int.from_bytes(packet[len(RTP) :][:4])


async def turns(count: int = 20) -> None:
    """Let the event loop read and write what it can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until_received(pair: ConnectionPair, count: int) -> None:
    async with asyncio.timeout(10):
        while len(pair.received) < count:  # noqa: ASYNC110 - a callback changes it
            await asyncio.sleep(0)


async def until_ended(pair: ConnectionPair) -> None:
    async with asyncio.timeout(10):
        while not pair.ended:  # noqa: ASYNC110 - a callback changes it
            await asyncio.sleep(0)


async def test_packets_pass_in_frames_in_both_directions(pair: ConnectionPair) -> None:
    pair.peer.sendall(write_frames([b"one", b"two"]))
    await until_received(pair, 2)
    assert pair.received == [b"one", b"two"]
    assert pair.connection.sendto(b"three", ()) == 5
    assert pair.peer.recv(100) == b"\0\5three"


async def test_a_run_is_sent_as_packets_of_one_size_and_a_smaller_last_one(pair: ConnectionPair) -> None:
    assert pair.connection.send_run(memoryview(b"aaabbbc"), 3, ()) == 3
    assert FrameReader().feed(pair.peer.recv(100)) == [b"aaa", b"bbb", b"c"]


async def test_a_run_to_a_slow_peer_is_queued_and_dropped_by_packets(pair: ConnectionPair) -> None:
    numbered = [RTP + number.to_bytes(2) * (LARGE // 2 - 1) for number in range(500)]
    sent = 0
    runs = 0
    while sent == 50 * runs:
        runs += 1
        first = 50 * runs - 50
        sent += pair.connection.send_run(memoryview(b"".join(numbered[first : first + 50])), LARGE, ())
    packets = await pair.wait_until_empty(FrameReader())
    pair.connection.send(b"last", ())
    assert packets == numbered[: len(packets)]
    assert 50 * runs - sent == pair.connection.dropped_packets > 0


async def test_small_packets_are_sent_at_once(pair: ConnectionPair) -> None:
    assert pair.connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_a_slow_peer_gets_whole_packets_and_none_twice(pair: ConnectionPair) -> None:
    sent = pair.fill()
    reader = FrameReader()
    packets = await pair.wait_until_empty(reader)
    # The connection is usable again.
    assert pair.send_packet(LARGE, sent)
    while not packets or number_of(packets[-1]) < sent:
        packets += reader.feed(await asyncio.get_running_loop().sock_recv(pair.peer, 1 << 20))
    assert [number_of(packet) for packet in packets] == list(range(sent + 1))
    assert {len(packet) for packet in packets} == {LARGE}
    assert pair.connection.dropped_packets == 1


async def test_the_queue_of_a_slow_peer_is_bounded(pair: ConnectionPair) -> None:
    pair.fill()
    assert pair.connection.queued_bytes <= MAX_QUEUED_VIDEO_BYTES + 2
    while pair.send_packet(SMALL_PACKET_SIZE_BYTES):
        pass
    assert pair.connection.queued_bytes <= MAX_QUEUED_BYTES + 2
    assert not pair.send_packet(LARGE)


async def test_small_packets_are_kept_longer_than_video(pair: ConnectionPair) -> None:
    pair.fill()
    assert not pair.send_packet(LARGE)
    assert pair.send_packet(SMALL_PACKET_SIZE_BYTES)


async def test_media_is_dropped_while_the_queue_stays_for_too_long_and_the_rest_is_kept(pair: ConnectionPair) -> None:
    while not pair.connection.queued_bytes:
        assert pair.send_packet(LARGE)
    assert pair.send_packet(LARGE)
    pair.now += MAX_QUEUED_VIDEO_SECONDS + 0.1
    assert not pair.send_packet(LARGE)
    assert pair.send_packet(SMALL_PACKET_SIZE_BYTES)
    pair.now += MAX_QUEUED_AUDIO_SECONDS
    assert not pair.send_packet(SMALL_PACKET_SIZE_BYTES)
    for beginning in (RTCP, STUN):
        assert pair.send_packet(100, beginning=beginning)


async def test_a_fast_peer_waits_for_the_next_second(pair: ConnectionPair) -> None:
    pair.peer.settimeout(0)
    data = write_frames([b"x"] * (3 * FRAMES_PER_SECOND))
    sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(pair.peer, data))
    await until_received(pair, FRAMES_PER_SECOND)
    await turns()
    limited = len(pair.received)
    # What one read holds may exceed the limit.
    assert limited < 2 * FRAMES_PER_SECOND
    pair.connection.renew_allowance()
    await until_received(pair, limited + 1)
    sending.cancel()


async def test_the_end_is_reported_once(pair: ConnectionPair) -> None:
    pair.peer.close()
    await until_ended(pair)
    await turns()
    pair.connection.close()
    assert pair.ended == 1
    assert pair.connection.is_closed
    assert not pair.send_packet(100)


async def test_a_frame_that_is_too_large_ends_the_connection(pair: ConnectionPair) -> None:
    pair.peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
    await until_ended(pair)
    assert pair.peer.recv(100) == b""


async def test_closing_is_not_reported(pair: ConnectionPair) -> None:
    pair.fill()
    pair.connection.close()
    await turns()
    assert pair.ended == 0


async def test_a_detached_socket_is_still_open(pair: ConnectionPair) -> None:
    pair.peer.sendall(b"\0\3on")
    async with asyncio.timeout(10):
        while not pair.connection.rest():  # noqa: ASYNC110 - the event loop reads it
            await asyncio.sleep(0)
    with pair.connection.detach() as detached:
        assert pair.connection.rest() == b"\0\3on"
        pair.connection.send(b"dropped", ())
        detached.send(b"sent")
        assert pair.peer.recv(100) == b"sent"
    assert pair.ended == 0


async def test_null_packets_count_for_the_limit_of_a_second(pair: ConnectionPair) -> None:
    pair.peer.sendall(bytes(2 * FRAMES_PER_SECOND))
    await turns()
    pair.peer.sendall(write_frames([b"one"]))
    await turns()
    assert pair.received == []
    pair.connection.renew_allowance()
    await until_received(pair, 1)
