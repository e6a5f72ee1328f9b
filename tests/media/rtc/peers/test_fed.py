"""What encoders feed, seen and heard by real viewers. Groups of pictures are so long that a test sees one keyframe."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from stagebook.media.port import Connected
from tests.media.rtc.feeding import FeedClient, Pictures, open_feed, running_fed_engine
from tests.media.rtc.peers.peers import WatchingPeer
from tests.media.rtc.peers.relay import lossy_relay
from tests.media.rtc.running_engine import Engine, wait_until

LONG = Pictures(group=900)
"""Half a minute."""
LARGE = Pictures(group=900, width=640, height=480, profile="high")


async def playing(engine: Engine, connection_id: str, pictures: Pictures) -> FeedClient:
    """A redundant feed that has played for a moment."""
    feed = await open_feed(engine, connection_id, is_redundant=True)
    await engine.wait_for(Connected(connection_id=connection_id))
    feed.play(pictures)
    await asyncio.sleep(0.5)
    return feed


@contextlib.asynccontextmanager
async def watching(engine: Engine, *, port: int | None = None) -> AsyncIterator[WatchingPeer]:
    """A viewer that sees and hears."""
    viewer = WatchingPeer(engine, "v")
    await viewer.subscribe(port=port)
    try:
        await viewer.wait_for_media()
        yield viewer
    finally:
        await viewer.leave()


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
async def test_who_comes_between_keyframes_sees_moving_pictures_and_hears_the_tone(profile: str) -> None:
    async with running_fed_engine() as engine:
        await playing(engine, "f", Pictures(group=900, profile=profile))
        async with watching(engine) as viewer:
            await viewer.wait_for_pictures(30)
            assert viewer.observer.size == (320, 240)


async def test_another_feed_takes_the_place_of_one_that_is_closed() -> None:
    async with running_fed_engine() as engine:
        await playing(engine, "f", LONG)
        await playing(engine, "g", LARGE)
        async with watching(engine) as viewer:
            engine.forwarder.close(connection_id="f")
            await viewer.wait_for_media()
            await wait_until(lambda: viewer.observer.size == (640, 480), "pictures of the second feed")
            await viewer.wait_for_pictures(30)


async def test_another_feed_takes_the_place_of_one_that_is_silent() -> None:
    async with running_fed_engine() as engine:
        first = await playing(engine, "f", LONG)
        await playing(engine, "g", LARGE)
        async with watching(engine) as viewer:
            await first.pause()
            await wait_until(lambda: viewer.observer.size == (640, 480), "pictures of the second feed")
            await viewer.wait_for_media()


async def test_pictures_and_sound_pass_with_a_twentieth_lost_both_ways() -> None:
    async with running_fed_engine() as engine:
        await playing(engine, "f", Pictures(group=900, bitrate_bps=1_000_000))
        async with (
            lossy_relay(engine.forwarder.udp_port, loss=0.05, seed=3) as downlink,
            watching(engine, port=downlink.port) as viewer,
        ):
            await viewer.wait_for_pictures(60)
            assert downlink.lost > 0
