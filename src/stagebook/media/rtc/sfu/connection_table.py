"""The WebRTC connections of one forwarder, by the caller's ids, and their timeouts.

Connections are kept in the order in which they were opened. A publisher that connects replaces only those publishers of
its source that were opened before it, so the order decides which connection is the newer one.
"""

from collections.abc import Iterator
from typing import NamedTuple

from stagebook.client_network import network_of
from stagebook.media.port import CloseCause
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sdp.media_plan import PublisherPlan, ViewerPlan
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.media_source import MediaSource
from stagebook.media.rtc.sfu.publisher import Publisher
from stagebook.media.rtc.sfu.viewer import Viewer
from stagebook.media.rtc.transport.handshake_slots import MAX_HANDSHAKES_PER_NETWORK
from stagebook.media.rtc.transport.peer_connection import PeerConnection, PeerListener, PeerState
from stagebook.media.rtc.transport.shared_transport import SharedTransport

MAX_CONNECTING = 512
"""Connections whose DTLS handshake is not complete. Each holds handshake state, so their number is limited."""
SILENT_SECONDS = 1.0
"""At that limit a connection whose peer has sent no connectivity check for so long makes room for a new one. Clients
send the first check as soon as they have the answer; whoever only opens connections sends none. Of those that have sent
one, the oldest of a network with more than MAX_HANDSHAKES_PER_NETWORK makes room."""
MAX_CONNECTING_PUBLISHERS = 8
"""Publishers of one source, which is one participant's, that are not connected. A client that lost its network
publishes again before the server has noticed the loss, but not so often."""


class TableEntry(NamedTuple):
    """One open connection."""

    peer: PeerConnection
    plan: PublisherPlan | ViewerPlan
    source: MediaSource
    publisher: Publisher | None
    """None for a viewer."""


class ConnectionTable:
    """The open connections of publishers and viewers."""

    def __init__(self, transport: SharedTransport, settings: EngineSettings, *, listener: PeerListener) -> None:
        """`listener` is notified when a connection is up or has failed; it closes a failed one."""
        self._transport = transport
        self._settings = settings
        self._listener = listener
        self._entries: dict[str, TableEntry] = {}
        self._connecting: dict[str, PeerConnection] = {}

    def __len__(self) -> int:
        """The number of open connections, connecting ones included."""
        return len(self._entries)

    @property
    def viewers(self) -> int:
        """The number of open connections of viewers. The work is linear in the number of all connections."""
        return sum(entry.publisher is None for entry in self._entries.values())

    @property
    def connecting(self) -> int:
        """The number of connections whose handshake is not complete."""
        return len(self._connecting)

    def __iter__(self) -> Iterator[str]:
        """The connection ids, oldest first."""
        return iter(list(self._entries))

    def get(self, connection_id: str) -> TableEntry | None:
        """A connection; None if there is none with this id."""
        return self._entries.get(connection_id)

    def make_room(self, now: float) -> bool:
        """Return whether another connection may be opened: fewer than MAX_CONNECTING are connecting.

        At the limit the oldest silent one is reported to the listener as never connected, and the listener closes it.
        If none is silent, it is the oldest one of the network with the most of them. So a client with tokens cannot
        keep others out by opening connections that it does not use.
        """
        if len(self._connecting) < MAX_CONNECTING:
            return True
        expendable = self._expendable(now)
        if expendable is None:
            return False
        self._listener.peer_failed(expendable, CloseCause.NEVER_CONNECTED)
        return True

    def _expendable(self, now: float) -> PeerConnection | None:
        """The connecting peer that makes room for another one, None if all of them have a right to stay."""
        by_network: dict[str, list[PeerConnection]] = {}
        for peer in self._connecting.values():
            if now - peer.opened_at < SILENT_SECONDS:
                # They are kept oldest first, so all others are younger.
                break
            if peer.ice.path is None:
                return peer
            by_network.setdefault(network_of(str(peer.ice.path.address[0])), []).append(peer)
        largest = max(by_network.values(), key=len, default=[])
        return largest[0] if len(largest) > MAX_HANDSHAKES_PER_NETWORK else None

    def make_room_for_publisher(self, source: MediaSource) -> None:
        """Report the oldest connecting publisher of a source as never connected if there are
        MAX_CONNECTING_PUBLISHERS. The listener closes it."""
        entries = [self._entries[connection_id] for connection_id in self._connecting]
        connecting = [entry for entry in entries if entry.source is source and entry.publisher is not None]
        if len(connecting) >= MAX_CONNECTING_PUBLISHERS:
            self._listener.peer_failed(connecting[0].peer, CloseCause.NEVER_CONNECTED)

    def of_source(self, source: MediaSource) -> list[str]:
        """The ids of a source's connections, publishers and viewers, oldest first. The work is linear in the number of
        all connections, so it is for rare events only: the end or the takeover of a source."""
        return [connection_id for connection_id, entry in self._entries.items() if entry.source is source]

    def older_publishers(self, connection_id: str) -> list[str]:
        """The ids of the publishers of the same source that were opened before this one, connected or connecting,
        oldest first. Raises KeyError for an unknown id."""
        source = self._entries[connection_id].source
        ids = self.of_source(source)
        return [older for older in ids[: ids.index(connection_id)] if self._entries[older].publisher is not None]

    def open(
        self,
        connection_id: str,
        plan: PublisherPlan | ViewerPlan,
        source: MediaSource,
        endpoint: Publisher | Viewer,
        *,
        now: float,
    ) -> PeerConnection:
        """Add a connection that waits for its peer, and return its transport, which has ICE credentials already.

        `plan` is the negotiated offer, `endpoint` gets the media once the handshake is complete. The caller has checked
        `make_room`. Raises ValueError if the id is in use.
        """
        if connection_id in self._entries:
            raise ValueError(f"connection {connection_id} exists")
        peer = self._transport.open_peer(
            connection_id=connection_id,
            remote=plan.remote,
            inbound=plan.inbound,
            endpoint=endpoint,
            listener=self._listener,
            now=now,
            resends_unchanged=isinstance(plan, ViewerPlan) and plan.resends_unchanged,
        )
        publisher = endpoint if isinstance(endpoint, Publisher) else None
        self._entries[connection_id] = TableEntry(peer, plan, source, publisher)
        self._connecting[connection_id] = peer
        return peer

    def set_connected(self, connection_id: str) -> TableEntry:
        """Note that the handshake of a connection is complete: it no longer counts as connecting. Raises KeyError for
        an unknown id."""
        self._connecting.pop(connection_id, None)
        return self._entries[connection_id]

    def close(self, connection_id: str, *, as_failure: bool = False) -> bool:
        """Close a connection and remove it, also from the viewers of its source. False if it is unknown.

        The peer gets a close_notify, or sees a failure with `as_failure`.
        """
        entry = self._entries.pop(connection_id, None)
        if entry is None:
            return False
        self._connecting.pop(connection_id, None)
        entry.source.viewers.pop(connection_id, None)
        self._transport.close_peer(entry.peer, as_failure=as_failure)
        return True

    # Time

    def handle_timers(self, now: float, isolation: FaultIsolation) -> None:
        """Retransmit handshake messages that are due, and report connections that have timed out to the listener.

        A connection times out when it is not connected in time, or when its peer has given no sign of itself for too
        long (`ice_lite`). Consent to send is another matter and expires later.
        """
        for peer in list(self._connecting.values()):
            isolation.call("handshake", peer.handle_timers, now)
        for entry in list(self._entries.values()):
            isolation.call("connection", self._check_timeouts, entry.peer, now)

    def _check_timeouts(self, peer: PeerConnection, now: float) -> None:
        if peer.state is PeerState.CONNECTING:
            if now - peer.opened_at > self._settings.connect_timeout_seconds:
                self._listener.peer_failed(peer, CloseCause.NEVER_CONNECTED)
        elif now - peer.ice.last_received_at > self._settings.consent_timeout_seconds:
            self._listener.peer_failed(peer, CloseCause.CONSENT_LOST)
        else:
            peer.expire_consent(now)

    def reset_rate_limits(self) -> None:
        """Renew each peer's allowance of DTLS datagrams. Called once a second."""
        for entry in self._entries.values():
            entry.peer.reset_rate_limit()
