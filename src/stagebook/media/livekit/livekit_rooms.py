"""The state of the sources and connections of the LiveKit engine, without I/O.

A source is a LiveKit room, and a connection is a participant in it whose identity is the connection's id. Changes in
LiveKit are reported by webhooks, polls and signalling sockets. A report can be late, duplicated or lost. Each is passed
to a `note_*` method, and the first note of a change counts: the listener gets each fact once. Unknown ids are ignored.

A connection is opened before LiveKit knows it. Its facts wait until `note_answered`, because the listener does not know
the connection before the answer to its offer.

The rules are those of `media.port`, with one difference. In LiveKit a new publisher has new tracks, and a viewer with
one offer cannot be sent them. So viewers of a replaced publisher are ended with SOURCE_CHANGED.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from stagebook.media.connection_statistics import ConnectionRole
from stagebook.media.livekit.facts.room_connections import RoomConnection, RoomConnections, TrackFacts
from stagebook.media.port import CloseCause, Closed, Connected, MediaFact, SourceMeasured

NO_ACCOUNT: Final = "-"
"""Stands for the account in the name of a room whose source id has none."""
CHECK_ROOM_PREFIX: Final = "stagebook-check-"
_OWN_ROOM: Final = re.compile(rf"{CHECK_ROOM_PREFIX}[0-9a-f]{{16}}|sb\.(-|[0-9]{{12}})\..+", re.DOTALL)


_ACCOUNT: Final = re.compile(r"[0-9]{12}\.")


def is_engine_room(name: str) -> bool:
    """Return whether a room has the name of one that a Stagebook with LiveKit as its media engine makes."""
    return _OWN_ROOM.fullmatch(name) is not None


def room_name(source_id: str) -> str:
    """Return the name of a source's room, `sb.<account>.<rest of the source id>` (`media.port`)."""
    has_account = _ACCOUNT.match(source_id) is not None
    return f"sb.{source_id}" if has_account else f"sb.{NO_ACCOUNT}.{source_id}"


class _Source(msgspec.Struct, kw_only=True):
    room: str
    is_established: bool = False
    """Whether a publisher was answered. The source then stays until it is ended."""


class LiveKitRooms:
    """The open sources and connections. Changes in LiveKit itself are made by the caller (`remove`)."""

    def __init__(self, *, report: Callable[[MediaFact], None], remove: Callable[[RoomConnection], None]) -> None:
        """`report` is the listener for facts. `remove` is called with each connection that has ended here, but not in
        LiveKit: its participant is to be removed."""
        self._report = report
        self._remove = remove
        self._sources: dict[str, _Source] = {}
        self._connections = RoomConnections()
        self._held: dict[str, list[MediaFact]] = {}
        """The facts of connections that are not answered yet."""

    # Connections that are opened and closed

    def open_publisher(
        self,
        connection_id: str,
        source_id: str,
        *,
        now: float,
        is_redundant: bool = False,
    ) -> RoomConnection:
        """Add a publisher, and its source if that is new. `now` is the monotonic time in seconds."""
        source = self._sources.get(source_id)
        if source is None:
            source = self._sources[source_id] = _Source(room=room_name(source_id))
        return self._open(
            RoomConnection(
                connection_id=connection_id,
                source_id=source_id,
                room=source.room,
                role=ConnectionRole.PUBLISHER,
                opened_at=now,
                publisher_id=None,
                is_redundant=is_redundant,
            )
        )

    def open_viewer(self, connection_id: str, source_id: str, *, now: float) -> RoomConnection | None:
        """Add a viewer of a source's publisher: the connected one, or else the newest. None if there is none."""
        source = self._sources.get(source_id)
        publisher = self.publisher_of(source_id)
        if source is None or publisher is None:
            return None
        return self._open(
            RoomConnection(
                connection_id=connection_id,
                source_id=source_id,
                room=source.room,
                role=ConnectionRole.VIEWER,
                opened_at=now,
                publisher_id=publisher.connection_id,
            )
        )

    def note_answered(self, connection_id: str) -> None:
        """The listener knows the connection: its offer was answered. Report the facts that have waited for this."""
        connection = self._change(connection_id, is_answered=True)
        if connection is not None and connection.role is ConnectionRole.PUBLISHER:
            self._sources[connection.source_id].is_established = True
        for fact in self._held.pop(connection_id, ()):
            self._report(fact)

    def close(self, connection_id: str) -> RoomConnection | None:
        """Forget a connection, without a fact. Return it, or None if it is unknown.

        A source that had no answered publisher is forgotten with its last connection.
        """
        self._held.pop(connection_id, None)
        connection = self._connections.pop(connection_id)
        if connection is None:
            return None
        source_id = connection.source_id
        if not self._sources[source_id].is_established and not self._connections.has_any(source_id):
            del self._sources[source_id]
        return connection

    def end_source(self, source_id: str) -> str | None:
        """Forget a source with all its connections, without a fact. Return its room, or None if it is unknown."""
        source = self._sources.pop(source_id, None)
        if source is None:
            return None
        for connection in (*self._connections.viewers(source_id), *self._connections.publishers(source_id)):
            self._held.pop(connection.connection_id, None)
            self._connections.pop(connection.connection_id)
        return source.room

    # Reports of LiveKit

    def note_connected(self, connection_id: str) -> None:
        """The participant is connected. Report it. A publisher replaces the older ones of its source."""
        known = self._connections.find(connection_id)
        connection = None if known is None or known.is_connected else self._change(connection_id, is_connected=True)
        if connection is None:
            return
        replaced = self._replaced_by(connection)
        for viewer in self._left_behind(connection, replaced):
            self._end(viewer, CloseCause.SOURCE_CHANGED, is_in_livekit=True)
        self._tell(connection_id, Connected(connection_id=connection_id))
        # After Connected, as `media.port.Closed` says.
        for publisher in replaced:
            self._end(publisher, CloseCause.REPLACED, is_in_livekit=True)

    def note_ended(self, connection_id: str, cause: CloseCause) -> None:
        """The participant has left LiveKit. Report it. A loss before it was connected is NEVER_CONNECTED."""
        connection = self._connections.find(connection_id)
        if connection is None:
            return
        if not connection.is_connected and cause in (CloseCause.CONSENT_LOST, CloseCause.PEER_CLOSED):
            cause = CloseCause.NEVER_CONNECTED
        self._end(connection, cause, is_in_livekit=False)

    def note_tracks(self, connection_id: str, tracks: TrackFacts) -> None:
        """LiveKit reports a publisher's tracks. A member that is None keeps its known value.

        Of a connected publisher each note is reported, so that its size is judged each time.
        """
        connection = self._connections.find(connection_id)
        if connection is None or connection.role is not ConnectionRole.PUBLISHER:
            return
        known = tracks if connection.tracks is None else _joined(connection.tracks, tracks)
        self._change(connection_id, tracks=known)
        if connection.is_connected:
            measured = SourceMeasured(
                source_id=connection.source_id,
                connection_id=connection_id,
                bitrate_bps=None,
                audio_codec=known.audio_codec,
                video_codec=known.video_codec,
                width=known.width,
                height=known.height,
            )
            self._tell(connection_id, measured)

    def note_socket(self, connection_id: str, *, is_open: bool) -> None:
        """A signalling socket reports the end of this connection from now on, or no longer."""
        self._change(connection_id, has_socket=is_open)

    def note_lost(self, source_id: str) -> None:
        """The node with the source's room is lost: report the loss of its connections, and forget the source."""
        for connection in (*self._connections.viewers(source_id), *self._connections.publishers(source_id)):
            self._end(connection, CloseCause.ENGINE_LOST, is_in_livekit=False)
        self._sources.pop(source_id, None)

    # Reads

    def find(self, connection_id: str) -> RoomConnection | None:
        """Return an open connection, or None."""
        return self._connections.find(connection_id)

    def publisher_of(self, source_id: str) -> RoomConnection | None:
        """Return the publisher whom viewers of a source watch: the connected one, or else the newest; or None."""
        publishers = self._connections.publishers(source_id)
        connected = [each for each in publishers if each.is_connected]
        return next(reversed(connected or publishers), None)

    def rooms(self) -> dict[str, str]:
        """Return the rooms of the open sources by source id."""
        return {source_id: source.room for source_id, source in self._sources.items()}

    def is_open(self, source_id: str) -> bool:
        """Return whether there is such a source."""
        return source_id in self._sources

    def unconnected(self) -> list[RoomConnection]:
        """Return the connections that are answered and not known to be connected."""
        return list(self._connections.unconnected.values())

    def connected_publishers(self) -> list[RoomConnection]:
        """Return the connected publishers. Only webhooks and polls report their end."""
        return list(self._connections.connected_publishers.values())

    def viewers_without_socket(self) -> list[RoomConnection]:
        """Return the connected viewers whose end no socket reports."""
        return list(self._connections.viewers_without_socket.values())

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._connections)

    # Parts

    def _open(self, connection: RoomConnection) -> RoomConnection:
        self._connections.put(connection)
        self._held[connection.connection_id] = []
        return connection

    def _change(self, connection_id: str, **members: object) -> RoomConnection | None:
        """Replace an open connection by one with other members. Return it, or None if it is unknown."""
        known = self._connections.find(connection_id)
        if known is None:
            return None
        changed = msgspec.structs.replace(known, **members)
        self._connections.put(changed)
        return changed

    def _replaced_by(self, connection: RoomConnection) -> list[RoomConnection]:
        """Return the publishers of the source that are older than one that has connected."""
        if connection.role is not ConnectionRole.PUBLISHER or connection.is_redundant:
            return []
        publishers = self._connections.publishers(connection.source_id)
        return publishers[: publishers.index(connection)]

    def _left_behind(self, connection: RoomConnection, replaced: list[RoomConnection]) -> list[RoomConnection]:
        """Return the viewers whose publisher has gone or is replaced, if the connection is a publisher's that replaces
        others."""
        if connection.role is not ConnectionRole.PUBLISHER or connection.is_redundant:
            return []
        gone = {each.connection_id for each in replaced}
        stay = {each.connection_id for each in self._connections.publishers(connection.source_id)} - gone
        return [each for each in self._connections.viewers(connection.source_id) if each.publisher_id not in stay]

    def _end(self, connection: RoomConnection, cause: CloseCause, *, is_in_livekit: bool) -> None:
        held = self._held.get(connection.connection_id)
        fact = Closed(connection_id=connection.connection_id, cause=cause)
        if self.close(connection.connection_id) is None:
            # The listener has ended it, or its source, when it was told of another connection.
            return
        if is_in_livekit:
            self._remove(connection)
        if held is None:
            self._report(fact)
        else:
            self._held[connection.connection_id] = [*held, fact]

    def _tell(self, connection_id: str, fact: MediaFact) -> None:
        held = self._held.get(connection_id)
        if held is None:
            self._report(fact)
        else:
            held.append(fact)


def _joined(known: TrackFacts, newer: TrackFacts) -> TrackFacts:
    told = {name: value for name, value in msgspec.structs.asdict(newer).items() if value is not None}
    return msgspec.structs.replace(known, **told)
