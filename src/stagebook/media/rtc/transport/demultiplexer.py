"""Finds the connection of each datagram that arrives on a socket (RFC 7983).

STUN, DTLS and SRTP of all connections share one port. The first byte of a datagram tells the protocol; the connection
follows from it in one of two ways:

* A STUN binding request names our username fragment. It is looked up in the table of fragments, which all sockets of
  the engine share, and verified with the password of that connection (RFC 8445 section 7.3). Then the sender's
  address is a route of the connection.
* DTLS and SRTP carry no name. They belong to the connection whose route has the sender's address; from any other
  address they are dropped.

A Binding indication carries no name either (RFC 8445 section 11). From a route it is a sign that the peer exists. Nor
does a response to a request of ours (`stun_probe`), which is known by its transaction id.

So an address is trusted only after a check with a valid MESSAGE-INTEGRITY, and a datagram of an unauthenticated client
costs one table lookup. The HMAC of a check is the expensive part; rate limits bound it.

A check proves that its sender knows the credentials of a connection, but not that it has the address: the source
address of a datagram can be forged. Whoever has a connection of its own could take over the address of another peer,
whose media and DTLS would be lost. So an address that a peer has proved (`ice_lite.IceLiteAgent.holds`) is not given to
another connection for a check alone. The check is a claim: it has no answer and no effect, and a request of ours is
sent to the address. Only a peer that is there can respond to it.
"""

from typing import NamedTuple, TypeAlias

from stagebook.media.rtc.ice import stun
from stagebook.media.rtc.ice.udp_socket import Address, MediaSocket, Path
from stagebook.media.rtc.transport.peer_connection import PeerConnection, PeerState
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics

CHECKS_PER_SECOND = 50
"""Connectivity checks of one connection from one address that are verified. A busy peer sends about twenty."""
MAX_NEW_ADDRESSES_PER_SECOND = 8
"""Addresses without a route to a connection from which its checks are verified. A connection that is being set up has
this allowance to itself, so no other client can use it up. At most 512 connections of an engine are being set up
(`sfu.connection_table`), so these are 4,096 addresses."""
MAX_MOVED_ADDRESSES_PER_SECOND = 2_048
"""The same for all connections together that are set up already. One participant can have some hundred of them, and a
peer seldom changes its address."""
MAX_ADDRESSES_PER_CONNECTION = 16
"""Routes of one connection: the candidates of the peer that passed a check."""


class PeerRoute(NamedTuple):
    """The connection of a verified address, and the path to that address."""

    peer: PeerConnection
    path: Path


Routes: TypeAlias = dict[Address, PeerRoute]
"""The routes of one socket, by the peer's address."""


class UfragTable:
    """The username fragments of all connections, and the routes that belong to each connection."""

    def __init__(self) -> None:
        self._peers: dict[str, PeerConnection] = {}
        self._routes: dict[PeerConnection, list[tuple[Routes, Address]]] = {}

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._routes)

    def add(self, ufrag: str, peer: PeerConnection) -> None:
        """Deliver checks that name `ufrag` to `peer`. A connection may have several fragments."""
        self._peers[ufrag] = peer
        self._routes.setdefault(peer, [])

    def get(self, ufrag: str) -> PeerConnection | None:
        """Return the connection of a username fragment, None if there is none."""
        return self._peers.get(ufrag)

    def remove_ufrag(self, ufrag: str) -> None:
        """Remove one fragment. Its connection keeps its other fragments and its routes.

        The routes stay valid after an ICE restart, because media goes on over the old path until the new one works (RFC
        8445 section 9).
        """
        self._peers.pop(ufrag, None)

    def remove_peer(self, peer: PeerConnection) -> None:
        """Remove a connection with its fragments and its routes."""
        for credentials in (peer.ice.credentials, peer.ice.previous_credentials):
            if credentials is not None:
                self._peers.pop(credentials.ufrag, None)
        for routes, address in self._routes.pop(peer, ()):
            if address in routes and routes[address].peer is peer:
                del routes[address]

    def remove_routes(self, routes: Routes) -> None:
        """Remove all routes of a socket that is gone, a TCP connection. A path over it is lost."""
        while routes:
            address, route = routes.popitem()
            known = self._routes.get(route.peer)
            if known is not None:
                # By identity: the routes of two connections are equal once both are empty.
                known[:] = [each for each in known if each[0] is not routes or each[1] != address]
            route.peer.lose_path(route.path)

    def add_route(self, peer: PeerConnection, routes: Routes, path: Path) -> None:
        """Add the address of `path` to its socket's `routes` after a verified check of `peer`. The oldest route is
        removed if there are more than MAX_ADDRESSES_PER_CONNECTION."""
        known = self._routes.get(peer)
        if known is None:
            return
        routes[path.address] = PeerRoute(peer, path)
        known.append((routes, path.address))
        if len(known) > MAX_ADDRESSES_PER_CONNECTION:
            oldest_routes, oldest = known.pop(0)
            # Another connection may have proved the same address since; then the route is no longer this peer's.
            if oldest in oldest_routes and oldest_routes[oldest].peer is peer:
                del oldest_routes[oldest]


class Demultiplexer:
    """The receiver of the datagrams of one UDP socket, or of the packets of one TCP connection."""

    def __init__(self, socket: MediaSocket, ufrags: UfragTable, statistics: TransportStatistics) -> None:
        self._socket = socket
        self._ufrags = ufrags
        self._statistics = statistics
        self._routes: Routes = {}
        self._checks: dict[tuple[Address, PeerConnection], int] = {}
        """Checks of the current second, by address and by the connection that they name."""
        self._new_addresses: dict[PeerConnection, int] = {}
        """Unknown addresses of the current second, by the connection that their checks name."""
        self._moved_addresses = 0
        """Those of them that name a connection which is set up."""
        self._claims: dict[Address, PeerRoute] = {}
        """The newest claim of the current second to an address that another connection holds."""

    def receive(self, datagram: bytes, address: Address, now: float) -> None:
        """Deliver a datagram to its connection, or drop it. Never raises for the content of a datagram.

        The ranges of the first byte are those of RFC 7983 section 7: STUN 0 to 3, DTLS 20 to 63, SRTP and SRTCP 128
        to 191. SRTP comes first because nearly all datagrams are media.
        """
        first = datagram[0] if datagram else 255
        if 127 < first < 192:
            route = self._routes.get(address)
            if route is not None:
                route.peer.receive_media(datagram, route.path, now)
                return
        elif first < 4:
            self._receive_stun(datagram, address, now)
            return
        elif 19 < first < 64:
            route = self._routes.get(address)
            if route is not None:
                route.peer.receive_dtls(datagram, route.path, now)
                return
        self._statistics.unknown_datagrams += 1

    @property
    def routed_peer(self) -> PeerConnection | None:
        """A connection that has a route over this socket, because its check has been verified; None if none has."""
        return next((route.peer for route in self._routes.values()), None)

    def close(self) -> None:
        """The socket is gone: no connection has a route or a path over it any more."""
        self._ufrags.remove_routes(self._routes)

    def reset_rate_limits(self) -> None:
        """Start a new second of the rate limits. The caller does so about once a second."""
        self._checks.clear()
        self._new_addresses.clear()
        self._moved_addresses = 0
        self._claims.clear()

    def _receive_stun(self, datagram: bytes, address: Address, now: float) -> None:
        """Verify and answer a connectivity check (RFC 8445 section 7.3), or take a Binding indication."""
        route = self._routes.get(address)
        if route is not None and stun.is_binding_indication(datagram):
            route.peer.ice.receive_indication(route.path, now)
            return
        if route is not None and stun.is_binding_success(datagram):
            self._receive_response(datagram, route, now)
            return
        request = stun.parse_binding_request(datagram)
        peer = None if request is None else self._ufrags.get(request.local_ufrag)
        if request is None or peer is None:
            self._statistics.unknown_datagrams += 1
            return
        password = peer.ice.password_for(request.local_ufrag)
        # A check that fails to verify gets no error response: to an unauthenticated client the port stays silent.
        if password is None or not self._may_verify(address, peer, route) or not request.verify(password.encode()):
            return
        if request.unknown_attributes:
            self._socket.send(stun.unknown_attributes_error(request, password.encode()), address)
        elif route is not None and route.peer is not peer and route.peer.ice.holds(route.path, now):
            path = Path(self._socket, address)
            self._claims[address] = PeerRoute(peer, path)
            peer.send_probe(path, nominated=request.use_candidate, now=now)
        else:
            self._take_check(request, self._route_to(peer, route, address), password, now)

    def _route_to(self, peer: PeerConnection, route: PeerRoute | None, address: Address) -> PeerRoute:
        """Return the route of `address` if it leads to `peer`, or else a new one."""
        if route is not None and route.peer is peer:
            return route
        path = Path(self._socket, address)
        self._ufrags.add_route(peer, self._routes, path)
        return PeerRoute(peer, path)

    def _take_check(self, request: stun.BindingRequest, route: PeerRoute, password: str, now: float) -> None:
        """Deliver a verified check to its connection, and answer it."""
        peer, path = route
        previous = peer.ice.previous_credentials
        peer.receive_check(path=path, ufrag=request.local_ufrag, nominated=request.use_candidate, now=now)
        if previous is not None and peer.ice.previous_credentials is None:
            # This was the first check with the credentials of an ICE restart: the previous ones are void.
            self._ufrags.remove_ufrag(previous.ufrag)
        ip, port = str(path.address[0]).partition("%")[0], path.address[1]
        self._socket.send(stun.binding_success(request, (ip, port), password.encode()), path.address)
        peer.probe(path, nominated=request.use_candidate, now=now)
        # After the response: a client that waits for it would drop a ClientHello before it.
        peer.start_dtls(path, now)

    def _receive_response(self, datagram: bytes, route: PeerRoute, now: float) -> None:
        """Take a response to a request of ours from an address with a route. It may prove a claim to the address."""
        address = route.path.address
        claim = self._claims.get(address)
        if claim is not None and claim.peer.receive_response(datagram, claim.path, now):
            del self._claims[address]
            self._ufrags.add_route(claim.peer, self._routes, claim.path)
            claim.peer.start_dtls(claim.path, now)
        else:
            route.peer.receive_response(datagram, route.path, now)

    def _may_verify(self, address: Address, peer: PeerConnection, route: PeerRoute | None) -> bool:
        """Count a check of `address` that names `peer`. Return False if it is above a limit: that of the address, or if
        its `route` does not lead to the peer, that of new addresses."""
        count = self._checks.get((address, peer), 0)
        if count >= CHECKS_PER_SECOND:
            return False
        if count == 0 and (route is None or route.peer is not peer):
            new_addresses = self._new_addresses.get(peer, 0)
            if new_addresses >= MAX_NEW_ADDRESSES_PER_SECOND:
                return False
            if peer.state is not PeerState.CONNECTING:
                if self._moved_addresses >= MAX_MOVED_ADDRESSES_PER_SECOND:
                    return False
                self._moved_addresses += 1
            self._new_addresses[peer] = new_addresses + 1
        self._checks[address, peer] = count + 1
        return True
