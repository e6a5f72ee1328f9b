"""What the connections of one engine share: the sockets, the DTLS certificate and the table of ICE credentials.

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
from stagebook.media.rtc.ice.stun_probe import TRANSACTION_ID_SIZE_BYTES, StunProbes
from stagebook.media.rtc.ice.udp_socket import DatagramReceiver, UdpSocket
from stagebook.media.rtc.ice.ufrag import make_credentials
from stagebook.media.rtc.ice.wildcard_socket import WildcardSocket, bind_all
from stagebook.media.rtc.sdp.media_plan import InboundStreams, RemoteTransport
from stagebook.media.rtc.sdp.sdp_answer import LocalTransport
from stagebook.media.rtc.transport.demultiplexer import Demultiplexer, UfragTable
from stagebook.media.rtc.transport.handshake_slots import HandshakeSlots
from stagebook.media.rtc.transport.peer_connection import MediaEndpoint, PeerConnection, PeerListener
from stagebook.media.rtc.transport.tcp_connections import TcpConnections, TcpSockets
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics

TCP_CONNECTIONS_PER_PEER = 2
"""The TCP connections that an engine has at most, for each of the connections that it may have."""


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
        engine_number: int = 0,
        max_connections: int = 0,
        tcp: TcpSockets | None = None,
    ) -> None:
        """`wall_clock` returns seconds since 1970 and dates the certificate; `clock` returns monotonic seconds.

        `randomness` makes the ICE credentials and must be fit for secrets (random.SystemRandom). `udp_port` 0 lets the
        system choose a port. `announced_addresses` are the IP addresses of the candidates; empty means the bind
        addresses. `engine_number` distinguishes the engines of a server. `tcp` are the sockets of TCP, None for none;
        `max_connections` limits the TCP connections.
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
        self._engine_number = engine_number
        self._tcp: TcpConnections | None = None
        if tcp is not None:
            self._tcp = TcpConnections(
                tcp,
                engine_number=engine_number,
                max_verified=max_connections * TCP_CONNECTIONS_PER_PEER,
                ufrags=self.ufrags,
                statistics=self.statistics,
                clock=clock,
            )
        self._sockets: list[UdpSocket | WildcardSocket] = []
        self._demultiplexers: list[Demultiplexer] = []
        self._candidate_ips: tuple[str, ...] = ()

    @property
    def tcp_connections(self) -> int:
        """The number of open TCP connections."""
        return 0 if self._tcp is None else len(self._tcp)

    @property
    def udp_port(self) -> int:
        """The port to which the sockets are bound. Valid only after `start`."""
        return self._sockets[0].port

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bind the sockets and start to receive. Raises OSError if an address cannot be bound."""
        self._sockets = bind_all(self._bind_addresses, self._requested_port)
        connections = self.ufrags.__len__
        for socket in self._sockets:
            if isinstance(socket, WildcardSocket):
                socket.start_receiving(loop, self._make_receiver, self._clock, connections=connections)
            else:
                socket.start_receiving(loop, self._make_receiver(socket), self._clock, connections=connections)
        if self._tcp is not None:
            self._tcp.start(loop)
        self._candidate_ips = candidate_ips(
            bind_addresses=self._bind_addresses, announced_addresses=self._announced_addresses
        )

    def stop(self) -> None:
        """Stop receiving and close the sockets. The caller has closed the connections before."""
        for socket in self._sockets:
            socket.stop_receiving()
            socket.close()
        self._sockets = []
        if self._tcp is not None:
            self._tcp.stop()

    def _make_receiver(self, socket: UdpSocket) -> DatagramReceiver:
        demultiplexer = Demultiplexer(socket, self.ufrags, self.statistics)
        self._demultiplexers.append(demultiplexer)
        return demultiplexer.receive

    def reset_rate_limits(self) -> None:
        """Start a new second of the limits for connectivity checks and TCP. The caller does so about once a second."""
        for demultiplexer in self._demultiplexers:
            demultiplexer.reset_rate_limits()
        if self._tcp is not None:
            self._tcp.each_second()

    def open_peer(
        self,
        *,
        connection_id: str,
        remote: RemoteTransport,
        inbound: InboundStreams,
        endpoint: MediaEndpoint,
        listener: PeerListener,
        now: float,
        resends_unchanged: bool = False,
    ) -> PeerConnection:
        """Return a new connection with new ICE credentials, by which the peer can reach it from now on.

        `inbound` are the RTP streams that the peer may send. `resends_unchanged`: lost packets are sent to it again
        without RTX.
        """
        peer = PeerConnection(
            connection_id=connection_id,
            credentials=make_credentials(self._randomness, engine_number=self._engine_number),
            remote=remote,
            dtls=DtlsAssociation(self._dtls_context, is_client=remote.is_dtls_server),
            endpoint=endpoint,
            listener=listener,
            statistics=self.statistics,
            now=now,
            handshakes=self._handshakes,
            inbound=inbound,
            probes=StunProbes(lambda: self._randomness.randbytes(TRANSACTION_ID_SIZE_BYTES)),
            resends_unchanged=resends_unchanged,
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
        credentials = make_credentials(self._randomness, engine_number=self._engine_number)
        peer.restart_ice(credentials=credentials, remote=remote, now=self._clock())
        self.ufrags.add(peer.ice.credentials.ufrag, peer)

    def describe(self, peer: PeerConnection) -> LocalTransport:
        """Return our side of a connection, for its SDP answer or for the fragment that answers an ICE restart.

        The credentials are the newest ones: during a restart those that the peer has not used yet.
        """
        return LocalTransport(
            ufrag=peer.ice.credentials.ufrag,
            pwd=peer.ice.credentials.pwd,
            fingerprint=self._certificate.fingerprint,
            addresses=tuple((ip, self.udp_port) for ip in self._candidate_ips),
            tcp_addresses=() if self._tcp is None else tuple((ip, self._tcp.port) for ip in self._candidate_ips),
            session_id=self._randomness.getrandbits(63),
        )
