"""The sources of an uplink process: when they are connected, what is sent of several encoders, and what ends them.

The feeds are real connections of the media bus. The publisher in LiveKit is scripted; tests/e2e/livekit has real ones.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import msgspec
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.livekit.uplink.packet_publisher import WhipFailedError
from stagebook.media.livekit.uplink.uplink_messages import UplinkConnected, UplinkLost, UplinkSettings
from stagebook.media.livekit.uplink.uplinked_sources import UplinkedSources
from stagebook.media.port import Connected, MediaFact, SourceMeasured
from tests.media.rtc.feed_client import FeedClient, audio_units, closing_feeds, video_units
from tests.media.rtc.running_engine import wait_until


class CountedTrack:
    """Counts the frames that it is given."""

    def __init__(self) -> None:
        self.frames = 0

    def put(self, body: bytes, timestamp: int, *, is_keyframe: bool) -> None:  # noqa: ARG002 - as the track
        self.frames += 1


class ScriptedPublisher:
    """A publisher that LiveKit accepts, or refuses or ends as the test says."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.tracks = {kind: CountedTrack() for kind in MediaKind}
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_stopped = False

    async def start(self) -> None:
        await self.accepted

    async def wait_lost(self) -> None:
        await self.lost

    async def stop(self) -> None:
        self.is_stopped = True


class Uplinks:
    """Sources with recorded reports."""

    def __init__(self, directory: str) -> None:
        self.reports: list[UplinkConnected | UplinkLost | MediaFact] = []
        self.publishers: list[ScriptedPublisher] = []
        self.sources = UplinkedSources(
            UplinkSettings(whip_url="", feed_directory=directory),
            listener=self,
            make_publisher=self._make_publisher,
            clock=time.monotonic,
            wall_clock=time.time,
            randomness=Random(1),
        )

    def send(self, report: UplinkConnected | UplinkLost) -> None:
        self.reports.append(report)

    def send_fact(self, fact: MediaFact) -> None:
        self.reports.append(fact)

    def _make_publisher(self, token: str) -> ScriptedPublisher:
        self.publishers.append(ScriptedPublisher(token))
        return self.publishers[-1]

    async def feed(self, connection_id: str, *, is_redundant: bool = False, video_tracks: int = 1) -> FeedClient:
        """Open a feed of the source and send its Hello."""
        ticket = self.sources.open(
            connection_id=connection_id, source_id="source", is_redundant=is_redundant, token=f"token {connection_id}"
        )
        return await FeedClient.open(ticket, video_tracks=video_tracks)

    async def publisher(self, *, is_accepted: bool = True) -> ScriptedPublisher:
        """Wait for the publisher of the source, and accept it."""
        await wait_until(lambda: bool(self.publishers), "a publisher")
        if is_accepted:
            self.publishers[-1].accepted.set_result(None)
        return self.publishers[-1]

    @property
    def told(self) -> list[UplinkConnected | UplinkLost | MediaFact]:
        """The reports without measurements."""
        return [report for report in self.reports if not isinstance(report, SourceMeasured)]


def send_media(client: FeedClient, *, start_seconds: float = 0.0) -> None:
    """Send a keyframe and a packet of audio."""
    for units in (video_units(start_seconds=start_seconds), audio_units(start_seconds=start_seconds)):
        client.send(next(units)[1])


@asynccontextmanager
async def running_uplinks() -> AsyncIterator[Uplinks]:
    with tempfile.TemporaryDirectory(prefix="stagebook-") as directory:
        uplinks = Uplinks(directory)
        await uplinks.sources.start()
        try:
            async with closing_feeds():
                yield uplinks
        finally:
            await uplinks.sources.stop()


async def test_a_feed_is_connected_when_livekit_has_its_source() -> None:
    async with running_uplinks() as uplinks:
        await uplinks.feed("one")
        publisher = await uplinks.publisher(is_accepted=False)
        assert (publisher.token, uplinks.told) == ("token one", [])
        publisher.accepted.set_result(None)
        await wait_until(lambda: len(uplinks.told) == 2, "reports")
        assert uplinks.told == [UplinkConnected(source_id="source"), Connected(connection_id="one")]


async def test_media_from_before_the_connection_is_sent() -> None:
    async with running_uplinks() as uplinks:
        client = await uplinks.feed("one")
        send_media(client)
        publisher = await uplinks.publisher(is_accepted=False)
        await wait_until(lambda: uplinks.sources._sources["source"].relays == [], "the source")
        publisher.accepted.set_result(None)
        await wait_until(lambda: bool(uplinks.told), "the connection")
        video = video_units()
        next(video)
        client.send(next(video)[1])
        await wait_until(lambda: publisher.tracks[MediaKind.VIDEO].frames == 2, "the keyframe and the next frame")


async def test_a_redundant_encoder_stands_by_and_takes_over_in_the_same_publisher() -> None:
    async with running_uplinks() as uplinks:
        first = await uplinks.feed("one", is_redundant=True)
        publisher = await uplinks.publisher()
        second = await uplinks.feed("two", is_redundant=True)
        await wait_until(lambda: Connected(connection_id="two") in uplinks.told, "the second feed")
        send_media(first)
        video = publisher.tracks[MediaKind.VIDEO]
        await wait_until(lambda: video.frames == 1, "the frame of the first")
        send_media(second, start_seconds=1_000.0)
        await asyncio.sleep(0.1)
        assert video.frames == 1, "the second stands by"
        await first.close()
        uplinks.sources.close("one")
        send_media(second, start_seconds=1_001.0)
        await wait_until(lambda: video.frames >= 2, "the frame of the second")
        assert (len(uplinks.publishers), publisher.is_stopped) == (1, False)


async def test_a_newer_encoder_replaces_the_older_in_the_same_publisher() -> None:
    async with running_uplinks() as uplinks:
        older = await uplinks.feed("older")
        publisher = await uplinks.publisher()
        await wait_until(lambda: len(uplinks.told) == 2, "the first feed")
        await uplinks.feed("newer")
        assert await older.is_disconnected()
        await wait_until(lambda: Connected(connection_id="newer") in uplinks.told, "the second feed")
        uplinks.sources.close("older")
        assert not publisher.is_stopped
        uplinks.sources.close("newer")
        await wait_until(lambda: publisher.is_stopped, "the end")
        assert len(uplinks.publishers) == 1


@pytest.mark.parametrize("is_refused", [False, True])
async def test_the_feeds_end_with_the_publisher_in_livekit(*, is_refused: bool) -> None:
    async with running_uplinks() as uplinks:
        client = await uplinks.feed("one")
        publisher = await uplinks.publisher(is_accepted=not is_refused)
        ended = publisher.accepted if is_refused else publisher.lost
        ended.set_exception(WhipFailedError("the room has ended"))
        assert await client.is_disconnected()
        assert uplinks.told[-1] == UplinkLost(source_id="source", detail="the room has ended")
        await wait_until(lambda: publisher.is_stopped, "the end")


async def test_the_end_of_the_source_ends_the_publisher() -> None:
    async with running_uplinks() as uplinks:
        client = await uplinks.feed("one")
        publisher = await uplinks.publisher()
        await wait_until(lambda: len(uplinks.told) == 2, "the connection")
        uplinks.sources.end_source("source")
        assert await client.is_disconnected()
        await wait_until(lambda: publisher.is_stopped, "the end")
        assert len(uplinks.told) == 2, "nothing is reported"


async def test_of_several_video_tracks_the_first_is_sent() -> None:
    async with running_uplinks() as uplinks:
        client = await uplinks.feed("one", video_tracks=2)
        publisher = await uplinks.publisher()
        await wait_until(lambda: len(uplinks.told) == 2, "the connection")
        video = video_units()
        client.send(next(video)[1])
        client.send(msgspec.structs.replace(next(video)[1], track=1))
        client.send(next(video)[1])
        await wait_until(lambda: publisher.tracks[MediaKind.VIDEO].frames == 2, "two frames")
        await wait_until(lambda: any(isinstance(each, SourceMeasured) for each in uplinks.reports), "a measurement")
