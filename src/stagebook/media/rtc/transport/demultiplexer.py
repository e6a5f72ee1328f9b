"""Who sent this datagram: a connection found by the ufrag of its first verified STUN request, then by its address.

One for each socket; all share the table of ufrags. An address is believed only after a MESSAGE-INTEGRITY that is right
(RFC 8445 section 7.3), so garbage costs a look into a table.
"""

from stagebook.media.rtc.ice import stun
from stagebook.media.rtc.ice.udp_socket import Path, UdpSocket
from stagebook.media.rtc.sfu.down_track import Address
from stagebook.media.rtc.transport.peer_connection import PeerConnection

CHECKS_PER_SECOND = 50
"""Connectivity checks of one address: an eager peer sends twenty."""
MAX_UNKNOWN_ADDRESSES_PER_SECOND = 4096
"""Addresses that are not a connection's and want a check verified."""
MAX_ADDRESSES_PER_CONNECTION = 16
"""Of one peer: all of its candidates that ever passed a check."""


class UfragTable:
    """Our ufrags, each of one connection, and the addresses by which connections were reached."""

    def __init__(self) -> None:
        self._peers: dict[str, PeerConnection] = {}
        self._routes: dict[PeerConnection, list[tuple[dict[Address, PeerConnection], Address]]] = {}

    def add(self, ufrag: str, peer: PeerConnection) -> None:
        """Let checks with this ufrag reach a connection."""
        self._peers[ufrag] = peer
        self._routes.setdefault(peer, [])

    def get(self, ufrag: str) -> PeerConnection | None:
        """The connection of a ufrag."""
        return self._peers.get(ufrag)

    def forget(self, ufrag: str) -> None:
        """Let a ufrag reach nothing any more."""
        self._peers.pop(ufrag, None)

    def remove(self, peer: PeerConnection) -> None:
        """Forget a connection, its ufrags and its addresses."""
        for credentials in (peer.credentials, peer.previous_credentials):
            if credentials is not None:
                self._peers.pop(credentials.ufrag, None)
        for routes, address in self._routes.pop(peer, ()):
            if routes.get(address) is peer:
                del routes[address]

    def learn(self, peer: PeerConnection, routes: dict[Address, PeerConnection], address: Address) -> None:
        """A verified check of `peer` came from `address`; the oldest address goes if there are too many."""
        known = self._routes.get(peer)
        if known is None:
            return
        routes[address] = peer
        known.append((routes, address))
        if len(known) > MAX_ADDRESSES_PER_CONNECTION:
            oldest_routes, oldest = known.pop(0)
            if oldest_routes.get(oldest) is peer:
                del oldest_routes[oldest]


class Demultiplexer:
    """The receiving end of one socket."""

    def __init__(self, socket: UdpSocket, ufrags: UfragTable) -> None:
        self.unknown_datagrams = 0
        """From addresses that no connection has, or of no protocol of ours."""
        self._socket = socket
        self._ufrags = ufrags
        self._routes: dict[Address, PeerConnection] = {}
        self._checks: dict[Address, int] = {}

    def receive(self, datagram: bytes, address: Address, now: float) -> None:
        """Hand a datagram to its connection by its first byte (RFC 7983); drop it if it has none. Never raises for what
        a stranger sent."""
        first = datagram[0] if datagram else 255
        if 127 < first < 192:
            peer = self._routes.get(address)
            if peer is not None:
                peer.receive_media(datagram, now)
                return
        elif first < 4:
            self._receive_stun(datagram, address, now)
            return
        elif 19 < first < 64:
            peer = self._routes.get(address)
            if peer is not None:
                peer.receive_dtls(datagram, now)
                return
        self.unknown_datagrams += 1

    def reset_rate_limits(self) -> None:
        """Called about once a second."""
        self._checks.clear()

    def _receive_stun(self, datagram: bytes, address: Address, now: float) -> None:
        request = stun.parse_binding_request(datagram)
        peer = None if request is None else self._ufrags.get(request.local_ufrag)
        if request is None or peer is None:
            self.unknown_datagrams += 1
            return
        password = peer.password_for(request.local_ufrag)
        if password is None or not self._may_check(address) or not request.verify(password.encode()):
            return
        if request.unknown_attributes:
            self._socket.send(stun.unknown_attributes_error(request, password.encode()), address)
            return
        former = peer.previous_credentials
        if self._routes.get(address) is not peer:
            self._ufrags.learn(peer, self._routes, address)
        path = Path(self._socket, address)
        peer.receive_check(path=path, ufrag=request.local_ufrag, nominated=request.use_candidate, now=now)
        if former is not None and peer.previous_credentials is None:
            self._ufrags.forget(former.ufrag)
        ip = str(address[0]).partition("%")[0]
        self._socket.send(stun.binding_success(request, (ip, address[1]), password.encode()), address)

    def _may_check(self, address: Address) -> bool:
        """Verifying costs an HMAC: no address gets it without end, and strangers together neither."""
        count = self._checks.get(address, 0)
        if count >= CHECKS_PER_SECOND:
            return False
        if count == 0 and address not in self._routes and len(self._checks) >= MAX_UNKNOWN_ADDRESSES_PER_SECOND:
            return False
        self._checks[address] = count + 1
        return True
