"""Which publisher feeds a source, and what its change and the ends of connections mean for the others.

Several publishers of a source may be open at once, because a client that lost its network publishes again before the
server has noticed the loss. The newest connected one feeds the source:

* A publisher takes the source over when it connects, not when its offer is answered. Until then the current publisher
  continues. If the new one does not connect, it is closed and nothing else happens.
* When a publisher takes over, all publishers that were opened before it are closed, connected or not. They are reported
  as Closed with REPLACED, after Connected of the newer one.
* Viewers stay, unless the video codec changes: then they are closed, with SOURCE_CHANGED. It may also change with the
  first video packet of a publisher: the answer accepts several codecs, and only the packet shows which one is sent.
"""

from collections.abc import Callable

from stagebook.media.port import CloseCause, Closed, Connected, MediaFact
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.connection_table import ConnectionTable
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.published_source import PublishedSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.transport.peer_connection import PeerConnection
from stagebook.media.rtc.transport.shared_transport import SharedTransport


class SourceTakeover:
    """The listener of all connections of a forwarder (`PeerListener`). `connections` are these connections."""

    def __init__(
        self, transport: SharedTransport, settings: EngineSettings, *, on_fact: Callable[[MediaFact], None]
    ) -> None:
        """`on_fact` receives the facts about the connections."""
        self.connections = ConnectionTable(transport, settings, listener=self)
        self._on_fact = on_fact

    def peer_connected(self, peer: PeerConnection, now: float) -> None:
        """A connection is up: report Connected. A publisher takes its source over, and the publishers that it replaces
        are reported as Closed after that."""
        entry = self.connections.set_connected(peer.connection_id)
        replaced: list[str] = []
        if entry.publisher is not None and isinstance(entry.source, PublishedSource):
            replaced = self._take_over(peer.connection_id, entry.source, entry.publisher, now)
        self._on_fact(Connected(connection_id=peer.connection_id))
        for older in replaced:
            self._on_fact(Closed(connection_id=older, cause=CloseCause.REPLACED))

    def peer_failed(self, peer: PeerConnection, cause: CloseCause) -> None:
        """A connection ended by itself: close it and report Closed with this cause, once."""
        if self.connections.close(peer.connection_id):
            self._on_fact(Closed(connection_id=peer.connection_id, cause=cause))

    def feed(self, source: PublishedSource, publisher: Publisher, now: float) -> None:
        """Let a publisher feed a source. Viewers whose video codec this is not are closed, with SOURCE_CHANGED."""
        if not source.keeps_viewers(publisher.plan):
            self._end_viewers(source, CloseCause.SOURCE_CHANGED)
        source.take_over(publisher, now)

    def lose_source(self, source: MediaSource) -> None:
        """Close the viewers of a source whose relay is lost, and report them as if their engine was lost."""
        self._end_viewers(source, CloseCause.ENGINE_LOST)

    def _take_over(self, connection_id: str, source: PublishedSource, publisher: Publisher, now: float) -> list[str]:
        """Let a publisher that has connected feed its source.

        Returns the ids of the older publishers' connections, which end.
        """
        replaced = [
            older for older in self.connections.older_publishers(connection_id) if self.connections.close(older)
        ]
        self.feed(source, publisher, now)
        return replaced

    def _end_viewers(self, source: MediaSource, cause: CloseCause) -> None:
        for viewer_id in list(source.viewers):
            if self.connections.close(viewer_id, as_failure=True):
                self._on_fact(Closed(connection_id=viewer_id, cause=cause))
