"""The encoders of the LiveKit engine: their feeds in the uplink processes, and their sources as publishers in LiveKit.

Several connections of encoders may feed one source, and LiveKit has one publisher for them. That publisher is a
connection of its own in `livekit_rooms`, with an id that only this module knows. Viewers watch it, webhooks and polls
report it, and it is not replaced when an encoder replaces another. Its facts are handled here; those of the encoders'
connections go to the listener. When it ends in LiveKit, the encoders' connections end with ENGINE_LOST.
"""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_rooms import LiveKitRooms
from stagebook.media.livekit.offers.offer_exchanges import room_refusal
from stagebook.media.livekit.room_service import RoomServiceError
from stagebook.media.livekit.uplink.uplink_pool import UplinkPool
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    CloseCause,
    Closed,
    Connected,
    MediaFact,
    MediaRefusedError,
    RefusalReason,
    SourceMeasured,
)

EMPTY_TIMEOUT_SECONDS: Final = 30
"""LiveKit ends a room that has been empty for this long."""


class RoomMaker(Protocol):
    """Makes rooms in LiveKit (`room_service`)."""

    async def create_room(self, name: str, *, empty_timeout_seconds: int) -> object: ...


class _UplinkedSource(msgspec.Struct, kw_only=True):
    """A source that encoders feed."""

    uplink_id: str
    feed_ids: set[str]


class EncoderUplinks:
    """The sources of encoders of one engine."""

    def __init__(
        self,
        pool: UplinkPool,
        *,
        rooms: LiveKitRooms,
        service: RoomMaker,
        access: LiveKitAccess,
        new_id: Callable[[], str],
        monotonic: Callable[[], float],
    ) -> None:
        """`new_id` makes an id that no connection has. The caller passes the facts of `rooms` to `takes` first."""
        self._pool = pool
        self._rooms = rooms
        self._service = service
        self._access = access
        self._new_id = new_id
        self._monotonic = monotonic
        self._sources: dict[str, _UplinkedSource] = {}
        self._on_fact: Callable[[MediaFact], None] = lambda _fact: None
        self._on_feed_lost: Callable[[str], None] = lambda _connection_id: None

    def listen(self, on_fact: Callable[[MediaFact], None], *, on_feed_lost: Callable[[str], None]) -> None:
        """Set the listener for facts. `on_feed_lost` is called before the Closed of a feed that LiveKit has ended."""
        self._on_fact = on_fact
        self._on_feed_lost = on_feed_lost
        self._pool.listen(on_fact, on_connected=self._note_connected, on_lost=self._lose_feeds)

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """Allow an encoder's connection to feed a source, and return the ticket for the media bus.

        Connected is reported when LiveKit has the source. Raises MediaRefusedError (BUSY, ENGINE_LOST; UNKNOWN_SOURCE
        if the feed or its source is ended meanwhile).
        """
        source = self._sources.get(source_id)
        is_new = source is None
        if source is None:
            source = self._sources[source_id] = _UplinkedSource(uplink_id=self._new_id(), feed_ids=set())
            self._rooms.open_publisher(source.uplink_id, source_id, now=self._monotonic())
        source.feed_ids.add(connection_id)
        room = self._rooms.rooms()[source_id]
        try:
            if is_new:
                await self._service.create_room(room, empty_timeout_seconds=EMPTY_TIMEOUT_SECONDS)
                self._require_open(source_id, source, connection_id)
            return await self._pool.open_feed(
                connection_id=connection_id,
                source_id=source_id,
                is_redundant=is_redundant,
                token=self._access.publisher_token(room=room, identity=source.uplink_id),
            )
        except RoomServiceError as error:
            self.close(connection_id)
            raise room_refusal(error) from error
        except BaseException:
            self.close(connection_id)
            raise

    def close(self, connection_id: str) -> None:
        """Close a feed. The source leaves LiveKit with its last one. Unknown ids are ignored."""
        found = next((each for each, source in self._sources.items() if connection_id in source.feed_ids), None)
        if found is None:
            return
        self._pool.close(connection_id=connection_id)
        source = self._sources[found]
        source.feed_ids.remove(connection_id)
        if not source.feed_ids:
            del self._sources[found]
            self._rooms.close(source.uplink_id)

    def end_source(self, source_id: str) -> None:
        """Close all feeds of a source, without a fact. The caller ends the room. Unknown ids are ignored."""
        if self._sources.pop(source_id, None) is not None:
            self._pool.end_source(source_id=source_id)

    def takes(self, fact: MediaFact) -> bool:
        """Whether a fact of `livekit_rooms` is about a publisher of encoders; the caller does not report it then."""
        if not isinstance(fact, Connected | Closed | SourceMeasured):
            return False
        owner = next((each for each, source in self._sources.items() if source.uplink_id == fact.connection_id), None)
        if owner is None:
            return False
        if isinstance(fact, Closed):
            feed_ids = frozenset(self._sources[owner].feed_ids)
            self._pool.end_source(source_id=owner)
            self._lose_feeds(owner, feed_ids)
        return True

    def _require_open(self, source_id: str, source: _UplinkedSource, connection_id: str) -> None:
        """Raise MediaRefusedError if a source or its feed was ended while its room was made."""
        if self._sources.get(source_id) is not source or connection_id not in source.feed_ids:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="the source has ended")

    def _note_connected(self, source_id: str) -> None:
        source = self._sources.get(source_id)
        if source is not None:
            self._rooms.note_answered(source.uplink_id)
            self._rooms.note_connected(source.uplink_id)

    def _lose_feeds(self, source_id: str, feed_ids: frozenset[str]) -> None:
        """Report the end of feeds whose source has left LiveKit."""
        source = self._sources.pop(source_id, None)
        if source is not None:
            self._rooms.close(source.uplink_id)
        for connection_id in sorted(feed_ids):
            self._on_feed_lost(connection_id)
            self._on_fact(Closed(connection_id=connection_id, cause=CloseCause.ENGINE_LOST))
