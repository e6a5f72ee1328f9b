"""Taps of one of two redundant encoders, whichever of them viewers see."""

from functools import partial
from itertools import pairwise

import av
import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.port import Connected, MediaRefusedError, RefusalReason
from stagebook.media.tap.tapped_frame import TappedFrame
from tests.media.rtc.engine.running_pool import Scenario, running_pool, until
from tests.media.rtc.feed_client import FeedClient, VideoOptions, open_feed, running_engine_with_feeds
from tests.media.rtc.running_engine import wait_until
from tests.media.tap.recorded_taps import RecordedTaps, recorded_taps

HEIGHTS = {"f": 240, "g": 120}
"""The encoders send pictures of different sizes."""
FRAME_US = 1_000_000 / 30


async def start_encoders(scenario: Scenario) -> None:
    """Let both encoders send, first `f`, which viewers therefore see."""
    for connection_id, height in HEIGHTS.items():
        ticket = await scenario.pool.open_feed(connection_id=connection_id, source_id="a", is_redundant=True)
        feed = await FeedClient.open(ticket)
        connected = Connected(connection_id=connection_id)
        await until(partial(scenario.facts.__contains__, connected))
        feed.play(VideoOptions(height=height))


def video(taps: RecordedTaps, tap_id: str) -> list[TappedFrame]:
    return [frame for frame in taps.frames[tap_id] if frame.kind is MediaKind.VIDEO]


async def wait_for_frames(taps: RecordedTaps, *tap_ids: str, count: int = 15) -> None:
    """Wait until each tap has received so many more frames of video."""
    wanted = {tap_id: len(video(taps, tap_id)) + count for tap_id in tap_ids}
    await until(lambda: all(len(video(taps, tap_id)) >= frames for tap_id, frames in wanted.items()))


def shown_heights(frames: list[TappedFrame]) -> list[int]:
    """The heights of the pictures, each once for those in a row that have it."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    packets = (*(av.Packet(frame.body) for frame in frames), None)
    heights = [picture.height for packet in packets for picture in context.decode(packet)]
    return [height for before, height in pairwise((0, *heights)) if height != before]


async def test_each_encoder_is_tapped_by_itself_while_viewers_are_switched() -> None:
    async with recorded_taps() as taps, running_pool() as scenario:
        await start_encoders(scenario)
        for feed_id in ("f", "g", None):
            await scenario.pool.open_tap("a", taps.accept, feed_id=feed_id)
        await wait_for_frames(taps, "0", "1", "2")
        scenario.pool.close(connection_id="f")
        await until(lambda: taps.ended == ["0"])
        await until(lambda: any(frame.is_new_stream for frame in taps.frames["2"]))
        await wait_for_frames(taps, "1", "2")
        assert [shown_heights(video(taps, tap_id)) for tap_id in "012"] == [[240], [120], [240, 120]]
        for tap_id in "01":
            assert not any(frame.is_new_stream or frame.is_after_loss for frame in taps.frames[tap_id])
            steps_us = [after.time_us - before.time_us for before, after in pairwise(video(taps, tap_id))]
            assert all(step_us == pytest.approx(FRAME_US, abs=12) for step_us in steps_us)
            assert any(frame.kind is MediaKind.AUDIO for frame in taps.frames[tap_id])
        assert taps.ended == ["0"]


async def test_a_feed_that_is_not_open_cannot_be_tapped() -> None:
    async with recorded_taps() as taps, running_pool() as scenario:
        await start_encoders(scenario)
        scenario.pool.close(connection_id="f")
        for feed_id in ("f", "unknown"):
            with pytest.raises(MediaRefusedError) as refused:
                await scenario.pool.open_tap("a", taps.accept, feed_id=feed_id)
            assert refused.value.reason is RefusalReason.UNKNOWN_CONNECTION
        assert taps.frames == {}


async def test_a_feed_is_relayed_only_while_it_is_tapped() -> None:
    async with running_engine_with_feeds() as engine, recorded_taps() as taps:
        for connection_id in HEIGHTS:
            await open_feed(engine, connection_id, is_redundant=True)
            await engine.wait_for(Connected(connection_id=connection_id))
        feeds = {connection_id: engine.forwarder._feeds.find("source", connection_id) for connection_id in HEIGHTS}

        def relays() -> dict[str, int]:
            return {connection_id: 0 if feed is None else len(feed.relays) for connection_id, feed in feeds.items()}

        ticket = await taps.accept(engine.forwarder.describe_source(source_id="source", feed_id="g"))
        engine.forwarder.start_relay(source_id="source", ticket=ticket, is_tap=True, feed_id="g")
        await wait_until(lambda: relays() == {"f": 0, "g": 1}, "the relay")
        assert engine.forwarder._sources["source"].relays == []
        taps.receiver.close("0")
        await wait_until(lambda: relays() == {"f": 0, "g": 0}, "the end of the relay")


async def test_a_feed_that_closes_while_its_tap_connects_ends_the_tap() -> None:
    async with running_engine_with_feeds() as engine, recorded_taps() as taps:
        await open_feed(engine, "f", is_redundant=True)
        await engine.wait_for(Connected(connection_id="f"))
        ticket = await taps.accept(engine.forwarder.describe_source(source_id="source", feed_id="f"))
        engine.forwarder.start_relay(source_id="source", ticket=ticket, is_tap=True, feed_id="f")
        engine.forwarder.close(connection_id="f")
        await wait_until(lambda: taps.ended == ["0"], "the end of the tap")
