"""Encoder feeds watched by aiortc viewers. The GOPs are so long that each test sees one keyframe only."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from stagebook.media.port import Connected
from tests.media.rtc.feed_client import FeedClient, VideoOptions, open_feed, running_engine_with_feeds
from tests.media.rtc.peers.aiortc_peers import AiortcViewer
from tests.media.rtc.running_engine import RunningEngine, wait_until
from tests.network.emulator.emulated_network import emulated_network
from tests.network.emulator.link_conditions import LinkConditions

LONG_GOP = VideoOptions(gop_frames=900)
"""Half a minute."""
LARGE_FRAMES = VideoOptions(gop_frames=900, width=640, height=480, profile="high")


async def open_playing_feed(engine: RunningEngine, connection_id: str, options: VideoOptions) -> FeedClient:
    """Open a redundant feed that has sent media for half a second."""
    feed = await open_feed(engine, connection_id, is_redundant=True)
    await engine.wait_for(Connected(connection_id=connection_id))
    feed.play(options)
    await asyncio.sleep(0.5)
    return feed


@contextlib.asynccontextmanager
async def running_viewer(engine: RunningEngine, *, port: int | None = None) -> AsyncIterator[AiortcViewer]:
    """Run a viewer that has received the moving bar and the tone."""
    viewer = AiortcViewer(engine, "v")
    await viewer.subscribe(port=port)
    try:
        await viewer.wait_for_media()
        yield viewer
    finally:
        await viewer.leave()


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
async def test_a_viewer_that_joins_between_keyframes_receives_the_moving_bar_and_the_tone(profile: str) -> None:
    async with running_engine_with_feeds() as engine:
        await open_playing_feed(engine, "f", VideoOptions(gop_frames=900, profile=profile))
        async with running_viewer(engine) as viewer:
            await viewer.wait_for_frames(30)
            assert viewer.observer.size == (320, 240)


async def test_a_closed_feed_is_replaced_by_the_standby() -> None:
    async with running_engine_with_feeds() as engine:
        await open_playing_feed(engine, "f", LONG_GOP)
        await open_playing_feed(engine, "g", LARGE_FRAMES)
        async with running_viewer(engine) as viewer:
            engine.forwarder.close(connection_id="f")
            await viewer.wait_for_media()
            await wait_until(lambda: viewer.observer.size == (640, 480), "frames of the second feed")
            await viewer.wait_for_frames(30)


async def test_a_silent_feed_is_replaced_by_the_standby() -> None:
    async with running_engine_with_feeds() as engine:
        first = await open_playing_feed(engine, "f", LONG_GOP)
        await open_playing_feed(engine, "g", LARGE_FRAMES)
        async with running_viewer(engine) as viewer:
            await first.pause()
            await wait_until(lambda: viewer.observer.size == (640, 480), "frames of the second feed")
            await viewer.wait_for_media()


async def test_audio_and_video_arrive_with_5_percent_loss() -> None:
    lossy = LinkConditions(loss=0.05)
    async with running_engine_with_feeds() as engine, emulated_network() as network:
        await open_playing_feed(engine, "f", VideoOptions(gop_frames=900, bitrate_bps=1_000_000))
        downlink = await network.relay("127.0.0.1", engine.forwarder.udp_port, to_server=lossy, to_peer=lossy, seed=3)
        async with running_viewer(engine, port=downlink.port) as viewer:
            await viewer.wait_for_frames(60)
            assert (await downlink.report()).to_peer.total.lost_packets > 0
