"""The engine's side of every connection's transport: sockets, certificate, ICE credentials, and who is reached by them.

Knows peers and bytes; no source, no SDP, no fact.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.dtls.dtls_server import DtlsServer
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.rtc.ice.candidates import candidate_ips
from stagebook.media.rtc.ice.udp_socket import UdpSocket, bind_all
from stagebook.media.rtc.sdp.media_plan import RemoteTransport
from stagebook.media.rtc.sdp.sdp_answer import LocalTransport
from stagebook.media.rtc.transport.demultiplexer import Demultiplexer, UfragTable
from stagebook.media.rtc.transport.peer_connection import IceCredentials, MediaEndpoint, PeerConnection, PeerListener

_ICE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""RFC 8839 section 5.4: 6 bits each."""
_UFRAG_CHARACTERS = 12
"""It must be unique among all connections of the engine: 72 bits make it so."""
_PWD_CHARACTERS = 24


class SharedTransport:
    """What all connections of one engine share below RTP."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
        randomness: Random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._randomness = randomness
        self._certificate = make_certificate(datetime.fromtimestamp(wall_clock(), UTC))
        self._dtls_context = dtls_context(self._certificate)
        self._ufrags = UfragTable()
        self._sockets: list[UdpSocket] = []
        self._demultiplexers: list[Demultiplexer] = []
        self._addresses: tuple[tuple[str, int], ...] = ()

    @property
    def udp_port(self) -> int:
        """The bound port. Only after `start`."""
        return self._sockets[0].port

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bind and listen. Raises OSError."""
        settings = self._settings
        self._sockets = bind_all(settings.bind_addresses, settings.udp_port)
        self._demultiplexers = [Demultiplexer(socket, self._ufrags) for socket in self._sockets]
        for socket, demultiplexer in zip(self._sockets, self._demultiplexers, strict=True):
            socket.listen(loop, demultiplexer.receive, self._clock)
        ips = candidate_ips(bind_addresses=settings.bind_addresses, announced_addresses=settings.announced_addresses)
        self._addresses = tuple((ip, self.udp_port) for ip in ips)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the sockets."""
        for socket in self._sockets:
            socket.ignore(loop)
            socket.close()
        self._sockets = []

    def reset_rate_limits(self) -> None:
        """Called about once a second."""
        for demultiplexer in self._demultiplexers:
            demultiplexer.reset_rate_limits()

    def open_peer(
        self,
        *,
        connection_id: str,
        remote: RemoteTransport,
        endpoint: MediaEndpoint,
        listener: PeerListener,
        now: float,
    ) -> PeerConnection:
        """A new connection that can be reached by its new credentials."""
        peer = PeerConnection(
            connection_id=connection_id,
            credentials=self._make_credentials(),
            remote=remote,
            dtls=DtlsServer(self._dtls_context),
            endpoint=endpoint,
            listener=listener,
            now=now,
        )
        self._ufrags.add(peer.credentials.ufrag, peer)
        return peer

    def close_peer(self, peer: PeerConnection) -> None:
        """Say goodbye to a peer and forget it."""
        self._ufrags.remove(peer)
        peer.close()

    def restart_ice(self, peer: PeerConnection, remote: RemoteTransport) -> None:
        """Give a connection new credentials (RFC 8445 section 9); those in use hold until the new ones are used."""
        if peer.previous_credentials is not None:
            # A second restart before the first one was used: the credentials in between never counted.
            self._ufrags.forget(peer.credentials.ufrag)
        peer.restart_ice(credentials=self._make_credentials(), remote=remote)
        self._ufrags.add(peer.credentials.ufrag, peer)

    def describe(self, peer: PeerConnection) -> LocalTransport:
        """Our side of a connection for its answer."""
        return LocalTransport(
            ufrag=peer.credentials.ufrag,
            pwd=peer.credentials.pwd,
            fingerprint=self._certificate.fingerprint,
            addresses=self._addresses,
            session_id=self._randomness.getrandbits(63),
        )

    def _make_credentials(self) -> IceCredentials:
        return IceCredentials(ufrag=self._characters(_UFRAG_CHARACTERS), pwd=self._characters(_PWD_CHARACTERS))

    def _characters(self, count: int) -> str:
        return "".join(self._randomness.choices(_ICE_CHARACTERS, k=count))
