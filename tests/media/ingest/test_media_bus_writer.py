"""The ingest process's end of a feed, with a real unix socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.media_bus_writer import MAX_UNSENT_BYTES, FeedLostError, FeedWriter
from stagebook.media.media_bus import FeedTicket, Hello, Unit
from tests.media.ingest.running_rtmp_server import TOKEN, FakeMediaEngine, until


@pytest.fixture
async def media_engine(tmp_path: Path) -> AsyncIterator[FakeMediaEngine]:
    media_engine = FakeMediaEngine(str(tmp_path / "feed"))
    await media_engine.start()
    yield media_engine
    media_engine.stop()


async def open_feed(media_engine: FakeMediaEngine) -> FeedWriter:
    return await FeedWriter.open(media_engine.ticket, video_parameters="profile-level-id=42e01f", timeout_seconds=5)


def unit(size_bytes: int = 100) -> Unit:
    return Unit(kind=MediaKind.VIDEO, timestamp=2**40, is_keyframe=True, payloads=(bytes(size_bytes), b"\xff"))


async def test_a_feed_sends_hello_and_then_units_in_order(media_engine: FakeMediaEngine) -> None:
    feed = await open_feed(media_engine)
    sent = [unit(size) for size in (1, 100_000, 10)]
    for each in sent:
        feed.write(each)
    await until(lambda: len(media_engine.units) == 3, "the units")
    assert media_engine.hellos == [Hello(token=TOKEN, video_parameters="profile-level-id=42e01f")]
    assert media_engine.units == sent
    feed.close()
    await until(lambda: media_engine.ended == 1, "the end")


async def test_an_engine_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    ticket = FeedTicket(path=str(tmp_path / "nobody"), token=TOKEN)
    with pytest.raises(FeedLostError, match="cannot connect to the engine"):
        await FeedWriter.open(ticket, video_parameters="", timeout_seconds=5)


async def test_writing_to_an_engine_that_closed_the_feed_is_an_error(media_engine: FakeMediaEngine) -> None:
    feed = await open_feed(media_engine)
    await until(lambda: media_engine.feeds == 1, "the feed")
    media_engine.drop_feeds()
    with pytest.raises(FeedLostError, match="closed the feed"):
        await write_repeatedly(feed, pause_seconds=0.01)
    feed.close()


async def test_an_engine_that_does_not_read_is_an_error(media_engine: FakeMediaEngine) -> None:
    media_engine.reads = False
    feed = await open_feed(media_engine)
    with pytest.raises(FeedLostError, match="does not read"):
        write_at_once(feed, size_bytes=2 * MAX_UNSENT_BYTES)
    feed.close()


async def write_repeatedly(feed: FeedWriter, *, pause_seconds: float) -> None:
    async with asyncio.timeout(20):
        while True:
            feed.write(unit())
            await asyncio.sleep(pause_seconds)


def write_at_once(feed: FeedWriter, *, size_bytes: int) -> None:
    for _ in range(size_bytes >> 20):
        feed.write(unit(1 << 20))
