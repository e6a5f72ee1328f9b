"""Feeds that never send a packet, so that real viewers can watch publishers without media.

A real viewer needs a source in a real engine. A silent feed makes one: it connects to the media bus as an encoder's
feed does, and sends its Hello and nothing else. The viewer gets an answer (H.264 and Opus), its transport connects, and
no media arrives, as from a publisher whose camera and microphone send nothing.
"""

import asyncio
from functools import partial
from typing import Protocol

from stagebook.media.ingest.media_bus_writer import FeedLostError, FeedWriter
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Closed,
    Connected,
    IngestAsked,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
)

VIDEO_PARAMETERS = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
CONNECT_TIMEOUT_SECONDS = 5.0
_SUFFIX = "/silent"
"""The end of the ids of their connections, so that these differ from all ids of the stage manager."""


class FeedOpener(Protocol):
    """The part of the engine pool that makes sources for encoders."""

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Allow a connection to feed a source."""

    def end_source(self, *, source_id: str) -> None:
        """End a source with all its connections."""


class SilentFeeds:
    """The silent feeds of a server, one for each source that a real viewer has asked for."""

    def __init__(self, engines: FeedOpener) -> None:
        self._engines = engines
        self._feeds: dict[str, asyncio.Task[FeedWriter]] = {}
        self._connected: dict[str, asyncio.Event] = {}
        """What is set when the engine has made the source of a feed, by the id of the feed's connection."""

    async def open(self, source_id: str) -> None:
        """Make a source in a real engine, unless it has been made. Raises MediaRefusedError."""
        feed = self._feeds.get(source_id)
        if feed is None or _has_failed(feed):
            feed = self._feeds[source_id] = asyncio.create_task(self._connect(source_id))
        # Shielded: other viewers may wait for the same feed.
        await asyncio.shield(feed)

    def close(self, source_id: str) -> None:
        """End the feed of a source. Unknown ids are ignored."""
        feed = self._feeds.pop(source_id, None)
        if feed is not None:
            if (connected := self._connected.get(_connection_of(source_id))) is not None:
                connected.set()  # nobody waits for its source any more
            feed.add_done_callback(partial(self._end, source_id))

    def _end(self, source_id: str, feed: asyncio.Task[FeedWriter]) -> None:
        self._connected.pop(_connection_of(source_id), None)
        if not _has_failed(feed):
            feed.result().close()
        # The feed may have made the source after its end.
        self._engines.end_source(source_id=source_id)

    def take(self, fact: MediaFact) -> bool:
        """Take a fact of the real engines. Returns whether it is about a silent feed and concerns nobody else."""
        if isinstance(fact, IngestAsked) or fact.connection_id not in self._connected:
            return False
        match fact:
            case Connected():
                self._connected[fact.connection_id].set()
            case Closed():  # its engine is lost
                self.close(fact.connection_id.removesuffix(_SUFFIX))
        return True

    async def _connect(self, source_id: str) -> FeedWriter:
        connection_id = _connection_of(source_id)
        connected = self._connected[connection_id] = asyncio.Event()
        try:
            ticket = await self._engines.open_feed(connection_id=connection_id, source_id=source_id, is_redundant=True)
            feed = await FeedWriter.open(
                ticket, video_parameters=VIDEO_PARAMETERS, timeout_seconds=CONNECT_TIMEOUT_SECONDS
            )
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await connected.wait()
        except (FeedLostError, TimeoutError) as error:
            raise MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="the engine takes no feed") from error
        return feed


def _connection_of(source_id: str) -> str:
    return f"{source_id}{_SUFFIX}"


def _has_failed(feed: asyncio.Task[FeedWriter]) -> bool:
    return feed.done() and (feed.cancelled() or feed.exception() is not None)
