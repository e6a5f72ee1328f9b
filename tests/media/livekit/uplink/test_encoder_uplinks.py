"""The sources of encoders in LiveKit: what becomes of a feed whose source ends while its room is made."""

import asyncio
from typing import Any, cast

import pytest

from stagebook.media.livekit.livekit_access import LiveKitAccess, LiveKitKey
from stagebook.media.livekit.livekit_rooms import LiveKitRooms
from stagebook.media.livekit.uplink.encoder_uplinks import EncoderUplinks
from stagebook.media.livekit.uplink.uplink_pool import UplinkPool
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import MediaRefusedError, RefusalReason


class RecordedPool:
    """In the place of an `UplinkPool`: it has the feeds that were opened and not ended."""

    def __init__(self) -> None:
        self.feeds: dict[str, str] = {}

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool, token: str) -> FeedTicket:
        """Open a feed."""
        assert token
        assert not is_redundant
        self.feeds[connection_id] = source_id
        return cast("FeedTicket", None)

    def close(self, *, connection_id: str) -> str | None:
        """Close a feed."""
        return self.feeds.pop(connection_id, None)

    def end_source(self, *, source_id: str) -> None:
        """Close the feeds of a source."""
        self.feeds = {each: source for each, source in self.feeds.items() if source != source_id}


class HeldRooms:
    """Makes rooms when it is `released`."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.released = asyncio.Event()

    async def create_room(self, name: str, *, empty_timeout_seconds: int) -> None:
        """Wait for the test."""
        assert name.startswith("sb.")
        assert empty_timeout_seconds > 0
        self.asked.set()
        await self.released.wait()


@pytest.mark.parametrize("end", ["source", "feed"])
async def test_a_feed_that_ends_while_its_room_is_made_is_not_opened(end: str) -> None:
    pool, service = RecordedPool(), HeldRooms()
    rooms = LiveKitRooms(report=lambda _: None, remove=lambda _: None)
    access = LiveKitAccess(LiveKitKey(key="key", secret="s" * 32), wall_clock=lambda: 0.0)
    stand_in: Any = pool
    uplinks = EncoderUplinks(
        cast("UplinkPool", stand_in),
        rooms=rooms,
        service=service,
        access=access,
        new_id=lambda: "uplink",
        monotonic=lambda: 0.0,
    )
    opening = asyncio.create_task(uplinks.open_feed(connection_id="feed", source_id="source", is_redundant=False))
    await service.asked.wait()
    if end == "source":
        rooms.end_source("source")
        uplinks.end_source("source")
    else:
        uplinks.close("feed")
    service.released.set()
    with pytest.raises(MediaRefusedError) as refused:
        await opening
    assert refused.value.reason is RefusalReason.UNKNOWN_SOURCE
    assert pool.feeds == {}
