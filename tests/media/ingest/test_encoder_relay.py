"""The relay of an encoder to another node: one server that is asked, and one that serves, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stagebook.media.ingest.encoder_relay import AnsweredBytes, RelayTarget
from stagebook.media.port import CloseCause, Closed
from tests.clients.rtmp_publisher import RefusedError, RtmpPublisher
from tests.media.ingest.running_rtmp_server import RunningRtmpServer, first_second, running_rtmp_server, send, until

HEAD = b"GET /cluster/v1/encoder HTTP/1.1\r\n\r\n"
TAKEN = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
MISDIRECTED = b"HTTP/1.1 421 Misdirected Request\r\n\r\n"


class Owner:
    """The internal server of the second node: answers each request, and lets its RTMP server take the connection."""

    def __init__(self, rtmp: RunningRtmpServer) -> None:
        self._rtmp = rtmp
        self.answers: list[bytes] = []
        """The answers to the next requests; TAKEN after them."""
        self.heads: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)  # noqa: FBT003 - the standard library's

    @property
    def target(self) -> RelayTarget:
        return RelayTarget(host="127.0.0.1", port=self.listener.getsockname()[1], head=HEAD)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(self.listener)
            self.heads.append(await loop.sock_recv(accepted, len(HEAD)))
            answer = self.answers.pop(0) if self.answers else TAKEN
            await loop.sock_sendall(accepted, answer)
            if answer == TAKEN:
                self._rtmp.acceptor.take_relayed(accepted, address="203.0.113.9", is_secure=True)
            else:
                accepted.close()


class TwoServers:
    """`asked` is where encoders connect, `serving` is that of the owner."""

    def __init__(self, asked: RunningRtmpServer, serving: RunningRtmpServer) -> None:
        self.asked = asked
        self.serving = serving
        self.owner = Owner(serving)

    async def relay(self) -> None:
        """Let the owner serve the next encoder that asks."""
        ask = await self.asked.next_ask()
        self.asked.server.relay(self.owner.target, ask_id=ask.ask_id)

    async def publish(self, encoder: RtmpPublisher) -> None:
        """Publish with an encoder that the owner admits."""
        publishing = asyncio.create_task(encoder.publish("the key"))
        try:
            await self.relay()
            ask = await self.serving.next_ask()
            assert (ask.stream_key, ask.is_secure, ask.remote_address) == ("the key", True, "203.0.113.9")
            self.serving.admit(ask)
            await publishing
        finally:
            publishing.cancel()


@asynccontextmanager
async def two_servers(*, with_tls: bool = False) -> AsyncIterator[TwoServers]:
    async with running_rtmp_server(with_tls=with_tls) as asked, running_rtmp_server(with_tls=with_tls) as serving:
        servers = TwoServers(asked, serving)
        accepting = asyncio.create_task(servers.owner.run())
        try:
            yield servers
        finally:
            accepting.cancel()
            servers.owner.listener.close()


@pytest.mark.parametrize("is_secure", [False, True], ids=["RTMP", "RTMPS"])
async def test_the_media_of_an_encoder_reaches_the_owner(is_secure: bool) -> None:  # noqa: FBT001 - pytest's
    async with two_servers(with_tls=is_secure) as servers, servers.asked.encoder(is_secure=is_secure) as encoder:
        await servers.publish(encoder)
        await send(encoder, first_second())
        await until(lambda: servers.serving.video_frame_count() >= 30, "a second of video")
        await encoder.unpublish()
        await servers.serving.wait_for_fact(Closed(connection_id="c", cause=CloseCause.PEER_CLOSED))
        assert servers.owner.heads == [HEAD]
        assert servers.asked.end_facts() == []
        await until(lambda: len(servers.asked.gone) == 1, "nothing is left of the connection")


async def test_each_answer_is_sent_once_and_media_that_came_early_is_not_lost() -> None:
    async with two_servers() as servers, servers.asked.encoder() as encoder:
        await encoder.connect()
        await encoder.create_stream()
        # Not waiting for the answer, in one piece with `publish`.
        await encoder.ask_to_publish("the key")
        first, *others = first_second()
        await encoder.video(first.timestamp_ms, first.payload)
        await servers.relay()
        servers.serving.admit(await servers.serving.next_ask())
        assert (await encoder.status())["code"] == "NetStream.Publish.Start"
        await send(encoder, others)
        await until(lambda: servers.serving.video_frame_count() >= 30, "a second of video")
        # The transaction of the next call is answered, and nothing before it again.
        await encoder.call("createStream", None)


async def test_the_owner_refuses_with_its_reason() -> None:
    async with two_servers() as servers, servers.asked.encoder() as encoder:
        publishing = asyncio.create_task(encoder.publish("wrong"))
        await servers.relay()
        servers.serving.refuse(await servers.serving.next_ask(), is_wrong_key=True, detail="no such key")
        with pytest.raises(RefusedError, match="no such key"):
            await publishing
        await encoder.closed()


async def test_the_owner_ends_the_stream() -> None:
    async with two_servers() as servers, servers.asked.encoder() as encoder:
        await servers.publish(encoder)
        servers.serving.server.close(connection_id="c", detail="the time is over")
        assert "the time is over" in str((await encoder.status())["description"])
        await encoder.closed()
        await until(lambda: len(servers.asked.gone) == 1, "nothing is left of the connection")


async def test_an_encoder_that_vanishes_is_noticed_by_the_owner() -> None:
    async with two_servers() as servers:
        async with servers.asked.encoder() as encoder:
            await servers.publish(encoder)
            encoder.reset()
        await until(lambda: servers.serving.end_facts() != [], "the end of the connection")


async def test_another_node_is_asked_for_if_the_owner_has_changed() -> None:
    async with two_servers() as servers, servers.asked.encoder() as encoder:
        servers.owner.answers = [MISDIRECTED]
        publishing = asyncio.create_task(encoder.publish("the key"))
        await servers.relay()
        await servers.relay()
        servers.serving.admit(await servers.serving.next_ask())
        await publishing
        assert len(servers.owner.heads) == 2


async def test_an_encoder_that_no_node_takes_is_refused() -> None:
    async with two_servers() as servers, servers.asked.encoder() as encoder:
        servers.owner.answers = [MISDIRECTED] * 3
        publishing = asyncio.create_task(encoder.publish("the key"))
        for _ in range(3):
            await servers.relay()
        with pytest.raises(RefusedError, match="cannot be reached; try again"):
            await publishing
        await encoder.closed()


async def test_the_server_that_stops_ends_the_relay() -> None:
    async with two_servers() as servers, servers.asked.encoder() as encoder:
        await servers.publish(encoder)
        await servers.asked.server.stop()
        await encoder.closed()
        await until(lambda: servers.serving.end_facts() != [], "the end of the connection")


@pytest.mark.parametrize("size_bytes", [1, 2, 3, 5, 100])
def test_the_bytes_that_were_answered_are_split_off_in_pieces_of_any_size(size_bytes: int) -> None:
    data = (7).to_bytes(4, "big") + b"answered" + b"new"
    split = AnsweredBytes()
    answered = new = b""
    for start in range(0, len(data), size_bytes):
        parts = split.split(data[start : start + size_bytes])
        answered, new = answered + parts[0], new + parts[1]
    assert (answered, new, split.has_ended) == (b"answere", b"dnew", True)
