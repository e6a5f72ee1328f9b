"""The readings of all connections of an engine, each from the first time that somebody asks for it."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.rtc.sfu.connection_table import ConnectionTable, TableEntry
from stagebook.media.rtc.sfu.statistics.connection_reading import ConnectionReading
from stagebook.media.rtc.transport.peer_connection import PeerConnection


class ConnectionReadings:
    """The readings of the connections of a table."""

    def __init__(self, connections: ConnectionTable) -> None:
        self._connections = connections
        self._readings: WeakKeyDictionary[PeerConnection, ConnectionReading] = WeakKeyDictionary()

    def read(self, connection_ids: Sequence[str], now: float) -> tuple[ConnectionStatistics, ...]:
        """Return the statistics of the open ones of these connections. `now` is in monotonic seconds."""
        found = ((connection_id, self._connections.get(connection_id)) for connection_id in connection_ids)
        statistics = (
            self._statistics(connection_id, entry, now) for connection_id, entry in found if entry is not None
        )
        return tuple(each for each in statistics if each is not None)

    def _statistics(self, connection_id: str, entry: TableEntry, now: float) -> ConnectionStatistics | None:
        peer = entry.peer
        reading = self._readings.get(peer)
        if reading is None:
            reading = self._readings[peer] = ConnectionReading(opened_at=peer.opened_at)
        if entry.publisher is not None:
            return reading.of_publisher(peer, entry.publisher, now)
        viewer = entry.source.viewers.get(connection_id)
        return None if viewer is None else reading.of_viewer(peer, viewer, entry.source, now)
