"""What the connections of one engine share: the UDP sockets, the DTLS certificate and the table of ICE credentials.

It opens and closes peer connections and describes our side of each for its SDP answer. All connections use the same
sockets and the same certificate; each has ICE credentials of its own, by which the demultiplexers find it.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

from stagebook.media.rtc.dtls.dtls_association import DtlsAssociation
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.ice.candidates import candidate_ips
from stagebook.media.rtc.ice.ice_lite import IceCredentials
from stagebook.media.rtc.ice.udp_socket import DatagramReceiver, UdpSocket
from stagebook.media.rtc.ice.wildcard_socket import WildcardSocket, bind_all
from stagebook.media.rtc.sdp.media_plan import InboundStreams, RemoteTransport
from stagebook.media.rtc.sdp.sdp_answer import LocalTransport
from stagebook.media.rtc.transport.demultiplexer import Demultiplexer, UfragTable
from stagebook.media.rtc.transport.handshake_slots import HandshakeSlots
from stagebook.media.rtc.transport.peer_connection import MediaEndpoint, PeerConnection, PeerListener
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics

_ICE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""The ice-char alphabet of RFC 8839 section 5.4: 6 bits for each character."""
_UFRAG_CHARACTERS = 12
"""72 bits make a fragment unique among all connections of an engine. RFC 8445 section 5.3 asks for 24."""
_PWD_CHARACTERS = 24
"""144 bits. RFC 8445 section 5.3 asks for 128."""


class SharedTransport:
    """The transport of one engine below RTP. All methods are called on the thread of the engine's event loop."""

    def __init__(
        self,
        *,
        bind_addresses: Sequence[str],
        udp_port: int,
        announced_addresses: Sequence[str],
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        """`wall_clock` returns seconds since 1970 and dates the certificate; `clock` returns monotonic seconds.

        `randomness` makes the ICE credentials and must be fit for secrets (random.SystemRandom). `udp_port` 0 lets the
        system choose a port. `announced_addresses` are the IP addresses of the candidates; empty means the bind
        addresses.
        """
        self.statistics = TransportStatistics()
        self._bind_addresses = bind_addresses
        self._requested_port = udp_port
        self._announced_addresses = announced_addresses
        self._clock = clock
        self._randomness = randomness
        self._certificate = make_certificate(datetime.fromtimestamp(wall_clock(), UTC))
        self._dtls_context = dtls_context(self._certificate)
        self.ufrags = UfragTable()
        self._handshakes = HandshakeSlots(clock=clock)
        self._sockets: list[UdpSocket | WildcardSocket] = []
        self._demultiplexers: list[Demultiplexer] = []
        self._candidate_addresses: tuple[tuple[str, int], ...] = ()

    @property
    def udp_port(self) -> int:
        """The port to which the sockets are bound. Valid only after `start`."""
        return self._sockets[0].port

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bind the sockets and start to receive. Raises OSError if an address cannot be bound."""
        self._sockets = bind_all(self._bind_addresses, self._requested_port)
        for socket in self._sockets:
            if isinstance(socket, WildcardSocket):
                socket.start_receiving(loop, self._make_receiver, self._clock)
            else:
                socket.start_receiving(loop, self._make_receiver(socket), self._clock)
        ips = candidate_ips(bind_addresses=self._bind_addresses, announced_addresses=self._announced_addresses)
        self._candidate_addresses = tuple((ip, self.udp_port) for ip in ips)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop receiving and close the sockets. The caller has closed the connections before."""
        for socket in self._sockets:
            socket.stop_receiving(loop)
            socket.close()
        self._sockets = []

    def _make_receiver(self, socket: UdpSocket) -> DatagramReceiver:
        demultiplexer = Demultiplexer(socket, self.ufrags, self.statistics)
        self._demultiplexers.append(demultiplexer)
        return demultiplexer.receive

    def reset_rate_limits(self) -> None:
        """Start a new second of the rate limits for connectivity checks. The caller does so about once a second."""
        for demultiplexer in self._demultiplexers:
            demultiplexer.reset_rate_limits()

    def open_peer(
        self,
        *,
        connection_id: str,
        remote: RemoteTransport,
        inbound: InboundStreams,
        endpoint: MediaEndpoint,
        listener: PeerListener,
        now: float,
    ) -> PeerConnection:
        """Return a new connection with new ICE credentials, by which the peer can reach it from now on.

        `inbound` are the RTP streams that the peer may send.
        """
        peer = PeerConnection(
            connection_id=connection_id,
            credentials=self._make_credentials(),
            remote=remote,
            dtls=DtlsAssociation(self._dtls_context, is_client=remote.is_dtls_server),
            endpoint=endpoint,
            listener=listener,
            statistics=self.statistics,
            now=now,
            handshakes=self._handshakes,
            inbound=inbound,
        )
        self.ufrags.add(peer.ice.credentials.ufrag, peer)
        return peer

    def close_peer(self, peer: PeerConnection, *, as_failure: bool = False) -> None:
        """Remove a connection's credentials and routes, and close it. With `as_failure` its peer sees a failure."""
        self.ufrags.remove_peer(peer)
        peer.close(as_failure=as_failure)

    def restart_ice(self, peer: PeerConnection, remote: RemoteTransport) -> None:
        """Give a connection new credentials (RFC 8445 section 9). The credentials in use stay valid until the peer
        uses the new ones."""
        if peer.ice.previous_credentials is not None:
            # A second restart before the peer used the credentials of the first one: those become void.
            self.ufrags.remove_ufrag(peer.ice.credentials.ufrag)
        peer.restart_ice(credentials=self._make_credentials(), remote=remote)
        self.ufrags.add(peer.ice.credentials.ufrag, peer)

    def describe(self, peer: PeerConnection) -> LocalTransport:
        """Return our side of a connection, for its SDP answer or for the fragment that answers an ICE restart.

        The credentials are the newest ones: during a restart those that the peer has not used yet.
        """
        return LocalTransport(
            ufrag=peer.ice.credentials.ufrag,
            pwd=peer.ice.credentials.pwd,
            fingerprint=self._certificate.fingerprint,
            addresses=self._candidate_addresses,
            session_id=self._randomness.getrandbits(63),
        )

    def _make_credentials(self) -> IceCredentials:
        return IceCredentials(ufrag=self._ice_string(_UFRAG_CHARACTERS), pwd=self._ice_string(_PWD_CHARACTERS))

    def _ice_string(self, count: int) -> str:
        return "".join(self._randomness.choices(_ICE_CHARACTERS, k=count))
