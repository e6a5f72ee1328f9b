"""Creates a peer's client of LiveKit: WHIP for a publisher without simulcast, signalling for all others."""

from collections.abc import Iterable

import httpx
import msgspec

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.connection_statistics import ConnectionRole
from stagebook.media.livekit.facts.room_connections import RoomConnection
from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.livekit_rooms import LiveKitRooms
from stagebook.media.livekit.livekit_sdp import publisher_offer, viewer_codecs, with_track_ids
from stagebook.media.livekit.offers.whip_client import WhipClient
from stagebook.media.livekit.offers.whip_publisher import WhipPublisher
from stagebook.media.livekit.signalling.publisher_exchange import PublisherExchange, ordered_rids
from stagebook.media.livekit.signalling.signalling_exchange import SignallingExchange
from stagebook.media.livekit.signalling.signalling_peer import SignallingPeer
from stagebook.media.livekit.signalling.signalling_socket import SignallingSocket
from stagebook.media.livekit.signalling.viewer_exchange import ViewerExchange
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, ViewerPlan
from stagebook.media.rtc.sdp.session_description import SessionDescription


class OpenConnection(msgspec.Struct, kw_only=True):
    """The engine's state of a connection, in addition to `livekit_rooms`."""

    source_id: str
    plan: PublisherPlan | ViewerPlan
    peer: WhipPublisher | SignallingPeer
    exchange: SignallingExchange | None
    ufrag: str
    """The peer's own ICE credentials."""
    pwd: str
    chosen_layer: str | None = None


class OpenConnections:
    """The connections of an engine by id, and by source."""

    def __init__(self) -> None:
        self._all: dict[str, OpenConnection] = {}
        self._of_source: dict[str, dict[str, OpenConnection]] = {}

    def put(self, connection_id: str, opened: OpenConnection) -> None:
        """Add a connection."""
        self._all[connection_id] = opened
        self._of_source.setdefault(opened.source_id, {})[connection_id] = opened

    def get(self, connection_id: str) -> OpenConnection | None:
        """Return a connection, or None."""
        return self._all.get(connection_id)

    def pop(self, connection_id: str) -> OpenConnection | None:
        """Remove a connection and return it; None if it is unknown."""
        opened = self._all.pop(connection_id, None)
        if opened is not None:
            of_source = self._of_source[opened.source_id]
            del of_source[connection_id]
            if not of_source:
                del self._of_source[opened.source_id]
        return opened

    def pop_source(self, source_id: str) -> list[OpenConnection]:
        """Remove the connections of a source and return them."""
        of_source = self._of_source.pop(source_id, {})
        for connection_id in of_source:
            del self._all[connection_id]
        return list(of_source.values())

    def pop_all(self) -> list[OpenConnection]:
        """Remove all connections and return them."""
        opened = list(self._all.values())
        self._all.clear()
        self._of_source.clear()
        return opened


class PeerOpening:
    """Creates the connections of one deployment. `peer.open` opens them."""

    def __init__(self, client: httpx.AsyncClient, *, url: str, access: LiveKitAccess, rooms: LiveKitRooms) -> None:
        """`rooms` gets the reports of the websockets."""
        self._whip = WhipClient(client, url=url)
        self._url = url
        self._access = access
        self._rooms = rooms

    def publisher(self, connection: RoomConnection, offer: str, plan: PublisherPlan) -> OpenConnection:
        """Return a publisher that is not open yet."""
        offer = publisher_offer(offer, plan)
        rids = () if plan.video is None else ordered_rids(plan.video.rids)
        if len(rids) < 2:
            peer = WhipPublisher(self._whip, offer=offer, token=lambda: self._token(connection))
            return _connection(connection, plan, peer, None)
        offered, ids = with_track_ids(offer, plan, name=connection.connection_id)
        exchange = PublisherExchange(offer=offered, audio_track=ids.audio, video_track=ids.video or "", rids=rids)
        return self._signalling(connection, offered, plan, exchange)

    def viewer(
        self,
        connection: RoomConnection,
        offer: str,
        description: SessionDescription,
        plan: ViewerPlan,
        *,
        sends: Iterable[MediaKind],
    ) -> OpenConnection:
        """Return a viewer that is not open yet. `sends` has the kinds that the publisher sends."""
        exchange = ViewerExchange(
            offer=offer,
            publisher_id=connection.publisher_id or "",
            codecs=viewer_codecs(description, plan, sends=sends),
        )
        return self._signalling(connection, offer, plan, exchange)

    def _signalling(
        self, connection: RoomConnection, offer: str, plan: PublisherPlan | ViewerPlan, exchange: SignallingExchange
    ) -> OpenConnection:
        connection_id = connection.connection_id
        socket = SignallingSocket(
            exchange,
            url=self._url,
            token=lambda: self._token(connection),
            on_open=lambda: self._rooms.note_socket(connection_id, is_open=True),
            on_lost=lambda: self._rooms.note_socket(connection_id, is_open=False),
            on_end=lambda cause: self._rooms.note_ended(connection_id, cause),
        )
        return _connection(connection, plan, SignallingPeer(socket, offer=offer, plan=plan), exchange)

    def _token(self, connection: RoomConnection) -> str:
        is_publisher = connection.role is ConnectionRole.PUBLISHER
        sign = self._access.publisher_token if is_publisher else self._access.viewer_token
        return sign(room=connection.room, identity=connection.connection_id)


def _connection(
    connection: RoomConnection,
    plan: PublisherPlan | ViewerPlan,
    peer: WhipPublisher | SignallingPeer,
    exchange: SignallingExchange | None,
) -> OpenConnection:
    return OpenConnection(
        source_id=connection.source_id,
        plan=plan,
        peer=peer,
        exchange=exchange,
        ufrag=plan.remote.ufrag,
        pwd=plan.remote.pwd,
    )
