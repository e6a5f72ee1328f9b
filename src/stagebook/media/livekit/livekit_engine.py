"""LiveKit as the engine: sources are rooms, connections are participants, and LiveKit's nodes carry the media.

Publishers go by LiveKit's WHIP endpoint, those with simulcast and all viewers by signalling (`signalling_exchange`).
Offers and viewers' codecs are checked by the rules of the own engine (`media.rtc.sdp.negotiation`), so that peers get
the same refusals. Changes without a request are reported by `rooms`, which gets them from signalling sockets, webhooks
and polls.

The engine has the requests of `EnginePool`; `media_router` joins it with the ingest processes.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.livekit.facts.livekit_polls import MAX_CALLS_AT_ONCE
from stagebook.media.livekit.facts.room_connections import RoomConnection
from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_http import livekit_client
from stagebook.media.livekit.livekit_probe import probe
from stagebook.media.livekit.livekit_rooms import LiveKitRooms
from stagebook.media.livekit.livekit_sdp import publisher_answer
from stagebook.media.livekit.livekit_settings import LiveKitSettings
from stagebook.media.livekit.offers.offer_exchanges import MAX_EXCHANGES, OfferExchanges
from stagebook.media.livekit.offers.peer_opening import OpenConnection, OpenConnections, PeerOpening
from stagebook.media.livekit.offers.published_format import has_layers, published_format, sent_kinds
from stagebook.media.livekit.room_service import RoomService
from stagebook.media.livekit.room_tasks import MAX_ENDS_AT_ONCE, RoomTasks
from stagebook.media.livekit.signalling.layer_settings import layer_messages, video_layers
from stagebook.media.livekit.signalling.signalling_peer import SignallingPeer
from stagebook.media.livekit.signalling.viewer_exchange import ViewerExchange
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    Closed,
    InitialLayer,
    LayerChoice,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    RefusalReason,
    VideoLayers,
)
from stagebook.media.rtc.sdp.negotiation import negotiate_publisher, negotiate_viewer
from stagebook.media.rtc.sdp.sdp_parser import parse_description
from stagebook.media.rtc.sdp.trickle_fragment import parse_fragment

EMPTY_ROOM_SECONDS: Final = 30
"""LiveKit deletes a room after this time without participants."""
_ROOM_PREFIX: Final = "sb."


class ForwardedEncoders(Protocol):
    """Sends the media of encoders to LiveKit (`uplink.encoder_uplinks`)."""

    def listen(self, on_fact: Callable[[MediaFact], None], *, on_feed_lost: Callable[[str], None]) -> None: ...
    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket: ...
    def close(self, connection_id: str) -> None: ...
    def end_source(self, source_id: str) -> None: ...
    def takes(self, fact: MediaFact) -> bool: ...


class LiveKitEngine:
    """The sources and connections of this server in one LiveKit deployment."""

    def __init__(
        self,
        settings: LiveKitSettings,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wall_clock` returns seconds since the epoch."""
        self._settings = settings
        self._clock = clock
        self.access = LiveKitAccess(settings.key, wall_clock=wall_clock)
        # A client for each kind of call: offers must not delay polls, whose timeouts count as the failure of a node,
        # and the ends of connections must not delay offers.
        self._client = livekit_client(max_connections=MAX_EXCHANGES)
        self._poll_client = livekit_client(max_connections=MAX_CALLS_AT_ONCE)
        self._end_client = livekit_client(max_connections=MAX_ENDS_AT_ONCE)
        self._on_fact: Callable[[MediaFact], None] = lambda _fact: None
        self._feeds: ForwardedEncoders | None = None
        self._open = OpenConnections()
        self.version = ""
        """LiveKit's version, known from `start` on."""
        self.service = RoomService(self._client, url=settings.url, access=self.access)
        self.poll_service = RoomService(self._poll_client, url=settings.url, access=self.access)
        self.rooms = LiveKitRooms(report=self._report, remove=self._remove)
        self._tasks = RoomTasks(RoomService(self._end_client, url=settings.url, access=self.access))
        self._peers = PeerOpening(self._client, url=settings.url, access=self.access, rooms=self.rooms)
        self._offers = OfferExchanges(
            rooms=self.rooms,
            open_connections=self._open,
            tasks=self._tasks,
            make_room=lambda room: self.create_room(room, empty_timeout_seconds=EMPTY_ROOM_SECONDS),
            max_connections=settings.max_connections,
        )

    # Lifecycle

    def use_feeds(self, feeds: ForwardedEncoders) -> None:
        """Send the media of encoders by these feeds. Without this, encoders are refused. Called before `listen`."""
        self._feeds = feeds

    async def start(self, *, ends_former_rooms: bool = True) -> str | None:
        """Check the deployment, and end the rooms that an earlier run of this server has left.

        Without `ends_former_rooms` they stay: other nodes with the same `server_id` use rooms.

        Returns a warning if the version is not one that is tested. Raises LiveKitUnusableError and RoomServiceError.
        """
        found = await probe(self._settings.url, access=self.access)
        self.version = found.version
        await self.service.delete_room(found.room)
        if ends_former_rooms:
            await self._end_rooms(_ROOM_PREFIX)
        return found.warning

    def end_former_rooms(self, account_id: str) -> None:
        """End the rooms of an account that another node has left, in the background, until LiveKit does it."""
        self._tasks.repeat(lambda: self._end_rooms(f"{_ROOM_PREFIX}{account_id}."))

    async def _end_rooms(self, prefix: str) -> None:
        """End the rooms with a prefix that a server with this `server_id` has made, but not those in use here."""
        found = await self.service.list_rooms()
        # A source is known here before its room is made.
        used = set(self.rooms.rooms().values())
        for room in found:
            is_ours = room.name.startswith(prefix) and room.metadata == self._settings.server_id
            if is_ours and room.name not in used:
                await self.service.delete_room(room.name)

    async def stop(self) -> None:
        """Close all connections, waiting up to 5 s for LiveKit. No facts are reported after this."""
        self._on_fact = lambda _fact: None
        for connection in self._open.pop_all():
            self._tasks.spawn(connection.peer.close())
        await self._tasks.finish()
        for client in (self._client, self._poll_client, self._end_client):
            await client.aclose()

    def describe(self) -> str:
        """The engine, for the operator."""
        return f"LiveKit {self.version} at {self._settings.url}"

    def listen(
        self,
        on_fact: Callable[[MediaFact], None],
        *,
        on_feed_lost: Callable[[str], None] = lambda _connection_id: None,
    ) -> None:
        """As EnginePool.listen."""
        self._on_fact = on_fact
        if self._feeds is not None:
            self._feeds.listen(on_fact, on_feed_lost=on_feed_lost)

    # Offers

    async def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer:
        """As MediaEngine.publish."""
        plan = negotiate_publisher(parse_description(offer), video_codecs=self._settings.video_codecs)
        self._offers.require_capacity()
        connection = self.rooms.open_publisher(connection_id, source_id, now=self._clock())
        opened = self._peers.publisher(connection, offer, plan)
        answer = await self._offers.answer(connection, opened)
        return Answer(
            sdp=publisher_answer(answer, plan, bitrate_bps=self._settings.max_bitrate_bps),
            ice_session=opened.peer.ice_session,
            sends_audio=plan.audio is not None,
            sends_video=plan.video is not None,
        )

    async def subscribe(
        self,
        *,
        connection_id: str,
        source_id: str,
        offer: str,
        initial_layer: InitialLayer | None = None,  # noqa: ARG002 - LiveKit chooses the first layer itself
    ) -> Answer:
        """As MediaEngine.subscribe. LiveKit chooses the layer that a viewer starts with."""
        description = parse_description(offer)
        self._offers.require_capacity()
        publisher = self.rooms.publisher_of(source_id)
        if publisher is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_SOURCE, detail="there is no such source")
        published = self._open.get(publisher.connection_id)
        source = published_format(publisher, published, video_codecs=self._settings.video_codecs)
        plan = negotiate_viewer(description, source=source)
        connection = self.rooms.open_viewer(connection_id, source_id, now=self._clock())
        assert connection is not None, "its publisher was found"  # noqa: S101
        opened = self._peers.viewer(connection, offer, description, plan, sends=sent_kinds(source))
        answer = await self._offers.answer(connection, opened)
        return Answer(sdp=answer, ice_session=opened.peer.ice_session, has_layers=has_layers(published))

    async def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket:
        """As EnginePool.open_feed."""
        if self._feeds is None:
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail="encoders cannot be forwarded to LiveKit")
        return await self._feeds.open_feed(connection_id=connection_id, source_id=source_id, is_redundant=is_redundant)

    # Open connections

    async def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """As MediaEngine.patch."""
        parsed = parse_fragment(fragment)
        opened = self._find(connection_id)
        if ice_session not in (None, "*", opened.peer.ice_session):
            raise MediaRefusedError(
                reason=RefusalReason.ICE_SESSION_MISMATCH, detail="the ICE session is not the current one"
            )
        if not parsed.restarts(ufrag=opened.ufrag, pwd=opened.pwd):
            await opened.peer.trickle(fragment)
            return PatchAnswer(fragment=None, ice_session=opened.peer.ice_session)
        answer = await opened.peer.restart(fragment, parsed)
        opened.ufrag, opened.pwd = parsed.ufrag or "", parsed.pwd or ""
        return answer

    async def layers(self, *, connection_id: str) -> VideoLayers:
        """As MediaEngine.layers, without bitrates and frame rates."""
        opened, exchange, _ = self._viewer(connection_id)
        track = exchange.tracks.get(MediaKind.VIDEO)
        video = opened.plan.video
        if track is None or video is None:
            return VideoLayers()
        return VideoLayers(section=video.section, layers=video_layers(track, chosen=opened.chosen_layer))

    async def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None:
        """As MediaEngine.select_layer. LiveKit sends at most the chosen layer, and less if the line carries less."""
        opened, exchange, peer = self._viewer(connection_id)
        await peer.send(*layer_messages(choice, exchange.tracks))
        opened.chosen_layer = choice.encoding_id

    async def statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]:  # noqa: ARG002
        """As MediaEngine.statistics: nothing, because LiveKit's API has no statistics of connections."""
        return ()

    def close(self, *, connection_id: str, as_failure: bool = False) -> None:  # noqa: ARG002 - LiveKit has one way
        """As MediaEngine.close, in the background. LiveKit ends the connection to the peer."""
        if self._feeds is not None:
            self._feeds.close(connection_id)
        connection = self.rooms.close(connection_id)
        if connection is not None:
            self._remove(connection)

    def end_source(self, *, source_id: str) -> None:
        """As MediaEngine.end_source, in the background: LiveKit's room ends with all its participants."""
        room = self.rooms.end_source(source_id)
        if self._feeds is not None:
            self._feeds.end_source(source_id)
        for opened in self._open.pop_source(source_id):
            self._tasks.spawn(opened.peer.close())
        if room is not None:
            self._tasks.delete_room(room)

    # Parts

    async def create_room(self, name: str, *, empty_timeout_seconds: int) -> None:
        """Make a room that is this server's. Raises RoomServiceError."""
        await self.service.create_room(
            name, empty_timeout_seconds=empty_timeout_seconds, metadata=self._settings.server_id
        )

    def _find(self, connection_id: str) -> OpenConnection:
        """Return an open connection. Raises MediaRefusedError (UNKNOWN_CONNECTION)."""
        opened = self._open.get(connection_id)
        if opened is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="there is no such connection")
        return opened

    def _viewer(self, connection_id: str) -> tuple[OpenConnection, ViewerExchange, SignallingPeer]:
        opened = self._find(connection_id)
        if not isinstance(opened.exchange, ViewerExchange) or not isinstance(opened.peer, SignallingPeer):
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="no viewer has this connection")
        return opened, opened.exchange, opened.peer

    def _report(self, fact: MediaFact) -> None:
        if isinstance(fact, Closed):
            self._drop(fact.connection_id)
        # The listener does not know the publishers of encoders.
        if self._feeds is None or not self._feeds.takes(fact):
            self._on_fact(fact)

    def _drop(self, connection_id: str) -> None:
        """Close the client of a connection."""
        opened = self._open.pop(connection_id)
        if opened is not None:
            self._tasks.spawn(opened.peer.close())

    def _remove(self, connection: RoomConnection) -> None:
        """Remove a participant from LiveKit, in the background."""
        self._drop(connection.connection_id)
        self._tasks.remove_participant(connection.room, connection.connection_id)
