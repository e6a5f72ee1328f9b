"""Uplink processes and a real LiveKit server: what encoders feed is published there, and ends when it should."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_rooms import LiveKitRooms, room_name
from stagebook.media.livekit.room_service import RoomService
from stagebook.media.livekit.uplink.encoder_uplinks import EncoderUplinks
from stagebook.media.livekit.uplink.uplink_messages import UplinkSettings
from stagebook.media.livekit.uplink.uplink_pool import UplinkPool
from stagebook.media.port import CloseCause, Closed, Connected, MediaFact, SourceMeasured
from tests.e2e.livekit.livekit_node import KEY, LiveKitNode, running_node
from tests.media.rtc.feed_client import FeedClient, VideoOptions, closing_feeds
from tests.media.rtc.running_engine import wait_until

pytestmark = [pytest.mark.livekit, pytest.mark.timeout(180)]

VIDEO = VideoOptions(width=640, height=360)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitNode]:
    with running_node(tmp_path_factory.mktemp("livekit"), webhook_url="http://127.0.0.1:9/") as node:
        yield node


class UplinkedEncoders:
    """The encoders' part of a LiveKit engine, with its facts."""

    def __init__(self, node: LiveKitNode, http: httpx.AsyncClient) -> None:
        self.facts: list[MediaFact] = []
        self.lost: list[str] = []
        access = LiveKitAccess(KEY, wall_clock=time.time)
        self.service = RoomService(http, url=node.url, access=access)
        self.pool = UplinkPool(UplinkSettings(whip_url=f"{node.url}/whip/v1"), processes=1)
        self.rooms = LiveKitRooms(report=self._report, remove=lambda _: None)
        ids = itertools.count()
        self.uplinks = EncoderUplinks(
            self.pool,
            rooms=self.rooms,
            service=self.service,
            access=access,
            new_id=lambda: f"uplink {next(ids)}",
            monotonic=time.monotonic,
        )
        self.uplinks.listen(self.facts.append, on_feed_lost=self.lost.append)

    def _report(self, fact: MediaFact) -> None:
        assert self.uplinks.takes(fact)

    async def feed(self, connection_id: str, source_id: str, *, is_redundant: bool = False) -> FeedClient:
        """Feed a source with media in real time, and wait until it is connected."""
        ticket = await self.uplinks.open_feed(
            connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
        )
        client = await FeedClient.open(ticket)
        client.play(VIDEO)
        await wait_until(lambda: Connected(connection_id=connection_id) in self.facts, "the connection")
        return client

    async def publishers(self, source_id: str) -> list[tuple[str, int, int]]:
        """The participants in a source's room, with the size of their video."""
        participants = await self.service.list_participants(room_name(source_id))
        videos = [(each, track) for each in participants for track in each.tracks if track.width]
        return [(each.identity, track.width, track.height) for each, track in videos]

    async def wait_for_publishers(self, source_id: str, expected: list[tuple[int, int]]) -> None:
        """Wait until the room has publishers with these sizes."""
        deadline = time.monotonic() + 20
        while True:
            found = [size for _, *size in await self.publishers(source_id)]
            if found == [list(size) for size in expected]:
                return
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)


@asynccontextmanager
async def uplinked_encoders(node: LiveKitNode) -> AsyncIterator[UplinkedEncoders]:
    async with httpx.AsyncClient() as http, closing_feeds():
        encoders = UplinkedEncoders(node, http)
        try:
            yield encoders
        finally:
            await encoders.pool.stop()


async def test_an_encoder_is_published_and_leaves_with_its_end(node: LiveKitNode) -> None:
    async with uplinked_encoders(node) as encoders:
        client = await encoders.feed("one", "single")
        await encoders.wait_for_publishers("single", [(640, 360)])
        await wait_until(lambda: any(isinstance(each, SourceMeasured) for each in encoders.facts), "a measurement")
        await client.close()
        encoders.uplinks.close("one")
        await encoders.wait_for_publishers("single", [])
        assert len(encoders.rooms) == 0


async def test_redundant_encoders_are_one_publisher(node: LiveKitNode) -> None:
    async with uplinked_encoders(node) as encoders:
        first = await encoders.feed("one", "redundant", is_redundant=True)
        await encoders.wait_for_publishers("redundant", [(640, 360)])
        before = await encoders.publishers("redundant")
        await encoders.feed("two", "redundant", is_redundant=True)
        await first.close()
        encoders.uplinks.close("one")
        await asyncio.sleep(2)
        assert await encoders.publishers("redundant") == before
        assert encoders.lost == []


async def test_the_end_of_the_room_ends_the_encoders(node: LiveKitNode) -> None:
    async with uplinked_encoders(node) as encoders:
        client = await encoders.feed("one", "deleted")
        await encoders.service.delete_room(room_name("deleted"))
        await asyncio.wait_for(client.is_disconnected(), 15)
        await wait_until(lambda: encoders.lost == ["one"], "the loss")
        assert encoders.facts[-1] == Closed(connection_id="one", cause=CloseCause.ENGINE_LOST)


async def test_a_dead_server_is_known_within_12_s(tmp_path: Path) -> None:
    with running_node(tmp_path, webhook_url="http://127.0.0.1:9/") as node:
        async with uplinked_encoders(node) as encoders:
            await encoders.feed("one", "killed")
            # Reports come about once a second; the first ones have come after this.
            await asyncio.sleep(3)
            node.kill()
            killed_at = time.monotonic()
            await wait_until(lambda: encoders.lost == ["one"], "the loss")
            assert time.monotonic() - killed_at < 12


async def test_a_server_that_is_not_there_refuses_the_encoder(node: LiveKitNode) -> None:
    async with uplinked_encoders(node) as encoders:
        encoders.service._url = "http://127.0.0.1:9"
        with pytest.raises(Exception, match="LiveKit does not answer"):
            await encoders.uplinks.open_feed(connection_id="one", source_id="refused", is_redundant=False)
        assert len(encoders.rooms) == 0
