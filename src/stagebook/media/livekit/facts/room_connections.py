"""The connections of the LiveKit engine, with indexes for frequent reads.

Polls read each second the connections that no signalling socket reports, and each viewer the publisher of its source. A
source can have 10,000 viewers, so no read may iterate over all connections: a change of one connection takes constant
time, and a read takes time in proportion to its result.
"""

from collections.abc import Iterator

import msgspec

from stagebook.media.connection_statistics import ConnectionRole


class TrackFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What LiveKit has reported of a publisher's tracks. A member is None if it is not known."""

    audio_codec: str | None = None
    """The name of a `Codec`, such as opus."""
    video_codec: str | None = None
    width: int | None = None
    height: int | None = None


class RoomConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher or viewer in a room."""

    connection_id: str
    source_id: str
    room: str
    role: ConnectionRole
    opened_at: float
    """The monotonic time of the call that opened it, in seconds."""
    publisher_id: str | None
    """For a viewer: the connection id of the publisher that it watches."""
    is_redundant: bool = False
    """For a publisher: whether it feeds the source beside others, and replaces none."""
    is_answered: bool = False
    is_connected: bool = False
    has_socket: bool = False
    """Whether a signalling socket reports the end of the connection."""
    tracks: TrackFacts | None = None
    """What is known of a publisher's tracks; None before the first note."""


class RoomConnections:
    """The open connections by id, and in the groups that polls read. Each collection has the oldest first."""

    def __init__(self) -> None:
        self.unconnected: dict[str, RoomConnection] = {}
        """Those that are answered and not known to be connected."""
        self.connected_publishers: dict[str, RoomConnection] = {}
        """Only webhooks and polls report their end."""
        self.viewers_without_socket: dict[str, RoomConnection] = {}
        """The connected viewers whose end no socket reports."""
        self._all: dict[str, RoomConnection] = {}
        self._publishers: dict[str, dict[str, RoomConnection]] = {}
        """By source id and connection id."""
        self._viewers: dict[str, dict[str, RoomConnection]] = {}

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._all)

    def find(self, connection_id: str) -> RoomConnection | None:
        """Return an open connection, or None."""
        return self._all.get(connection_id)

    def publishers(self, source_id: str) -> list[RoomConnection]:
        """Return the publishers of a source."""
        return list(self._publishers.get(source_id, {}).values())

    def viewers(self, source_id: str) -> list[RoomConnection]:
        """Return the viewers of a source."""
        return list(self._viewers.get(source_id, {}).values())

    def has_any(self, source_id: str) -> bool:
        """Return whether a source has connections."""
        return source_id in self._publishers or source_id in self._viewers

    def put(self, connection: RoomConnection) -> None:
        """Add a connection, or replace it."""
        self._all[connection.connection_id] = connection
        self._of_role(connection).setdefault(connection.source_id, {})[connection.connection_id] = connection
        for index, is_in in self._indexes(connection):
            if is_in:
                index[connection.connection_id] = connection
            else:
                index.pop(connection.connection_id, None)

    def pop(self, connection_id: str) -> RoomConnection | None:
        """Remove a connection and return it; None if it is unknown."""
        connection = self._all.pop(connection_id, None)
        if connection is None:
            return None
        by_source = self._of_role(connection)
        of_source = by_source[connection.source_id]
        del of_source[connection_id]
        if not of_source:
            del by_source[connection.source_id]
        for index, _ in self._indexes(connection):
            index.pop(connection_id, None)
        return connection

    def _of_role(self, connection: RoomConnection) -> dict[str, dict[str, RoomConnection]]:
        return self._publishers if connection.role is ConnectionRole.PUBLISHER else self._viewers

    def _indexes(self, connection: RoomConnection) -> Iterator[tuple[dict[str, RoomConnection], bool]]:
        """Yield each index with whether the connection is in it."""
        is_publisher = connection.role is ConnectionRole.PUBLISHER
        is_connected = connection.is_connected
        yield self.unconnected, connection.is_answered and not is_connected
        yield self.connected_publishers, is_connected and is_publisher
        yield self.viewers_without_socket, is_connected and not is_publisher and not connection.has_socket
