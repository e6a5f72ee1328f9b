"""The ingest process's end of a feed, at a real unix socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.ingest.media_bus_writer import MAX_WAITING_BYTES, FeedLostError, FeedWriter
from stagebook.media.media_bus import FeedTicket, Hello, Unit
from tests.media.ingest.serving import TOKEN, NotingForwarder, until


@pytest.fixture
async def forwarder(tmp_path: Path) -> AsyncIterator[NotingForwarder]:
    forwarder = NotingForwarder(str(tmp_path / "feed"))
    await forwarder.start()
    yield forwarder
    forwarder.stop()


async def opened(forwarder: NotingForwarder) -> FeedWriter:
    return await FeedWriter.open(forwarder.ticket, video_parameters="profile-level-id=42e01f", timeout_seconds=5)


def unit(size_bytes: int = 100) -> Unit:
    return Unit(kind=MediaKind.VIDEO, timestamp=2**40, is_keyframe=True, payloads=(bytes(size_bytes), b"\xff"))


async def test_a_feed_begins_with_hello_and_brings_units_in_order(forwarder: NotingForwarder) -> None:
    feed = await opened(forwarder)
    sent = [unit(size) for size in (1, 100_000, 10)]
    for each in sent:
        feed.write(each)
    await until(lambda: len(forwarder.units) == 3, "the units")
    assert forwarder.hellos == [Hello(token=TOKEN, video_parameters="profile-level-id=42e01f")]
    assert forwarder.units == sent
    feed.close()
    await until(lambda: forwarder.ended == 1, "the end")


async def test_a_forwarder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    ticket = FeedTicket(path=str(tmp_path / "nobody"), token=TOKEN)
    with pytest.raises(FeedLostError, match="no connection to the forwarder"):
        await FeedWriter.open(ticket, video_parameters="", timeout_seconds=5)


async def test_a_forwarder_that_has_gone_takes_no_more(forwarder: NotingForwarder) -> None:
    feed = await opened(forwarder)
    await until(lambda: forwarder.feeds == 1, "the feed")
    forwarder.drop_feeds()
    with pytest.raises(FeedLostError, match="closed the feed"):
        await write_for_ever(feed, pause_seconds=0.01)
    feed.close()


async def test_a_forwarder_that_does_not_read_takes_no_more_than_the_bound(forwarder: NotingForwarder) -> None:
    forwarder.reads = False
    feed = await opened(forwarder)
    with pytest.raises(FeedLostError, match="does not read"):
        write_at_once(feed, size_bytes=2 * MAX_WAITING_BYTES)
    feed.close()


async def write_for_ever(feed: FeedWriter, *, pause_seconds: float) -> None:
    async with asyncio.timeout(20):
        while True:
            feed.write(unit())
            await asyncio.sleep(pause_seconds)


def write_at_once(feed: FeedWriter, *, size_bytes: int) -> None:
    for _ in range(size_bytes >> 20):
        feed.write(unit(1 << 20))
