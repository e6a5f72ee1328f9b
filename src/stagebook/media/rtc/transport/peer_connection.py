"""One peer connection: ICE finds the path, DTLS authenticates the peer, SRTP protects the media.

The three protocols depend on one another in this order (RFC 8827 section 6.5, RFC 5764 section 3):

1. The peer's first verified connectivity check gives the path. Until then there is no address to send to.
2. Over that path the peer, by default as the DTLS client, completes a handshake. Its certificate must have a
   fingerprint that its session description promised; this ties the media to the signalling.
3. Both sides export SRTP keys from the handshake, and media flows in both directions.

States:

    CONNECTING --(handshake complete, fingerprint matches)--> CONNECTED --(close)--> CLOSED
        `---------------------------(close)--------------------------------------------^

A connection never closes itself. When the peer sends close_notify or the handshake fails, it reports to its listener,
which calls `close`. The listener also applies the two timeouts, for connecting and for consent.
"""

from enum import StrEnum
from typing import Protocol

from stagebook.media.port import CloseCause
from stagebook.media.rtc.dtls.dtls_association import DtlsAssociation, DtlsState
from stagebook.media.rtc.ice.ice_lite import IceCredentials, IceLiteAgent
from stagebook.media.rtc.ice.stun_probe import StunProbes
from stagebook.media.rtc.ice.udp_socket import MediaSocket, Path
from stagebook.media.rtc.sdp.media_plan import InboundStreams, RemoteTransport
from stagebook.media.rtc.srtp.srtp_session import OutboundSrtp, SrtpSession
from stagebook.media.rtc.transport.dtls_transport import DtlsTransport
from stagebook.media.rtc.transport.handshake_slots import HandshakeSlots
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics

RTP_PACKETS_PER_SECOND = 5000
"""Limit for one publisher. 8.5 Mbit/s of video and an audio stream are about a thousand; keyframes come in bursts."""
SMALL_PACKET_SIZE_BYTES = 400
SMALL_PACKET_UNITS = 5
"""A datagram below this size counts as so many. Each packet is sent on to all viewers, and costs the engine about as
much whatever its size: tiny packets would cost a publisher little and the others most. Audio and the ends of frames are
small, some 300 packets a second with simulcast."""
LOST_MEDIA_SECONDS = 1.0
"""After so long without a packet over the former path, more is lost than retransmissions bring back: a path that takes
its place needs a keyframe."""
RTCP_COMPOUNDS_PER_SECOND = 200
"""Limit for one peer. A viewer with heavy loss sends about 50 NACKs a second."""


class PeerState(StrEnum):
    """The state of a connection. It only moves forward."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class MediaEndpoint(Protocol):
    """The part of a connection that sends and receives its media: a publisher or a viewer."""

    def connected(self, peer: "PeerConnection", now: float) -> None:
        """The connection is CONNECTED. Called once, with the connection to send on."""

    def path_changed(self, *, quiet_seconds: float, now: float) -> None:
        """`ice.path` has changed: the peer has a new address, or there is no consent to send. Called only after
        `connected`. `quiet_seconds` is how long nothing had come over the former path; 0.0 without a new one."""

    def closed(self) -> None:
        """The connection is CLOSED. Called once, also for a connection that was never CONNECTED."""

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Take one RTP packet, verified and decrypted."""

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Take one RTCP compound packet, verified and decrypted."""


class PeerListener(Protocol):
    """The owner of the connections, which is notified of their state changes."""

    def peer_connected(self, peer: "PeerConnection", now: float) -> None:
        """The connection is CONNECTED. Called before the media endpoint is notified."""

    def peer_failed(self, peer: "PeerConnection", cause: CloseCause) -> None:
        """The connection cannot go on. The listener closes it."""


class PeerConnection:
    """One peer. The demultiplexer calls the `receive_` methods with the datagrams of this peer only."""

    def __init__(
        self,
        *,
        connection_id: str,
        credentials: IceCredentials,
        remote: RemoteTransport,
        dtls: DtlsAssociation,
        endpoint: MediaEndpoint,
        listener: PeerListener,
        statistics: TransportStatistics,
        handshakes: HandshakeSlots,
        inbound: InboundStreams,
        probes: StunProbes,
        now: float,
        resends_unchanged: bool = False,
    ) -> None:
        """`handshakes` are shared by the connections of an engine. `inbound` are the RTP streams that the peer may
        send. `probes` are the STUN requests of this connection alone. `resends_unchanged`: lost packets are sent again
        without RTX."""
        self.connection_id = connection_id
        self._received_on: MediaSocket | None = None
        """The socket of the RTP packet that the endpoint receives."""
        self.ice = IceLiteAgent(credentials, now=now)
        self.remote = remote
        self.endpoint = endpoint
        self.state = PeerState.CONNECTING
        self.opened_at = now
        self._dtls = DtlsTransport(dtls, handshakes=handshakes, statistics=statistics)
        self._probes = probes
        self._inbound = inbound
        self._resends_unchanged = resends_unchanged
        self._payload_types = inbound.payload_types
        self._rtp_packets_left = RTP_PACKETS_PER_SECOND
        self._rtcp_compounds_left = RTCP_COMPOUNDS_PER_SECOND
        self._srtp: SrtpSession | None = None
        self._listener = listener
        self._statistics = statistics

    @property
    def waited_seconds(self) -> float:
        """How long the RTP packet that the endpoint receives has waited for this process."""
        return 0.0 if self._received_on is None else self._received_on.waited_seconds

    @property
    def outbound_srtp(self) -> OutboundSrtp:
        """libsrtp's handle for protecting what we send. Raises RuntimeError unless the connection is CONNECTED."""
        if self._srtp is None:
            raise RuntimeError("the handshake is not finished")
        return self._srtp.outbound

    # ICE

    def receive_check(self, *, path: Path, ufrag: str, nominated: bool, now: float) -> None:
        """Take a verified connectivity check that came over `path` and named our `ufrag`."""
        path_changed = self.ice.receive_check(path=path, ufrag=ufrag, nominated=nominated, now=now)
        if path_changed and self.state is PeerState.CONNECTED:
            self._follow_path()

    def probe(self, path: Path, *, nominated: bool, now: float) -> None:
        """Ask the peer for a sign over `path` after a check from there, if it is needed. Before the handshake there is
        nothing to protect."""
        if self.state is PeerState.CONNECTED and self.ice.needs_probe(path, now):
            self.send_probe(path, nominated=nominated, now=now)

    def send_probe(self, path: Path, *, nominated: bool, now: float) -> None:
        """Ask the peer for a sign over `path`, at most once a second."""
        username = f"{self.remote.ufrag}:{self.ice.credentials.ufrag}"
        self._probes.send(path, username=username, password=self.remote.pwd, nominated=nominated, now=now)

    def receive_response(self, datagram: bytes, path: Path, now: float) -> bool:
        """Take a STUN response that came over `path`. Return False if it answers no request of ours."""
        answered = self._probes.take_response(datagram, path, password=self.remote.pwd)
        if answered is None:
            return False
        path_changed = self.ice.receive_response(path, nominated=answered.nominated, now=now)
        if path_changed and self.state is PeerState.CONNECTED:
            self._follow_path()
        return True

    def expire_consent(self, now: float) -> None:
        """Stop sending without consent (RFC 7675). The caller does so several times a second."""
        if self.ice.expire_consent(now) and self.state is PeerState.CONNECTED:
            self._follow_path()

    def lose_path(self, path: Path) -> None:
        """A path cannot be used any more: its TCP connection has ended. The next verified datagram from anywhere gives
        another one."""
        if self.ice.lose_path(path) and self.state is PeerState.CONNECTED:
            self._follow_path()

    def restart_ice(self, *, credentials: IceCredentials, remote: RemoteTransport, now: float) -> None:
        """Start a new ICE session with new credentials of both sides. The DTLS association and the SRTP keys stay:
        the certificate fingerprints are the same (RFC 8842 section 5.5)."""
        self.ice.restart(credentials, now=now)
        self.remote = remote

    def _follow_path(self) -> None:
        has_path = self.ice.path is not None
        quiet_seconds = self.ice.quiet_seconds if has_path else 0.0
        # A new path has consent from the moment of its choice.
        self.endpoint.path_changed(quiet_seconds=quiet_seconds, now=self.ice.consent_at)

    # DTLS

    def start_dtls(self, path: Path, now: float) -> None:
        """Begin the handshake over `path` if that is our part. Called after each check; only the first call counts."""
        if self.state is PeerState.CONNECTING and self._dtls.start(path, now):
            self._follow_dtls(now)

    def receive_dtls(self, datagram: bytes, path: Path, now: float) -> None:
        """Take one DTLS datagram that came over `path`, from an address with a verified check. The answer goes back
        there: a peer with several addresses may begin the handshake before it has nominated one."""
        if self.state is PeerState.CLOSED:
            return
        if self._dtls.receive(datagram, path, now, is_connecting=self.state is PeerState.CONNECTING):
            self._follow_dtls(now)

    def handle_timers(self, now: float) -> None:
        """Retransmit a lost flight of the handshake when it is due. The caller does so several times a second while
        the connection is CONNECTING."""
        if self._dtls.handle_timers(self.ice.path, now):
            self._follow_dtls(now)

    def reset_rate_limit(self) -> None:
        """Start a new second of the rate limits. The caller does so about once a second.

        Counting down in whole seconds costs one subtraction for each packet, where a token bucket would need the time.
        A peer may so send two allowances around the turn of a second, which the limits take into account.
        """
        self._rtp_packets_left = RTP_PACKETS_PER_SECOND
        self._rtcp_compounds_left = RTCP_COMPOUNDS_PER_SECOND
        self._dtls.reset_rate_limit()

    def _follow_dtls(self, now: float) -> None:
        """Follow the state of the DTLS association."""
        if self._dtls.state is DtlsState.CLOSED:
            self._listener.peer_failed(self, CloseCause.PEER_CLOSED)
        elif self._dtls.state is DtlsState.FAILED:
            self._fail(self._dtls.association.failure)
        elif self._dtls.state is DtlsState.CONNECTED and self.state is PeerState.CONNECTING:
            self._connect(now)

    def _connect(self, now: float) -> None:
        """Authenticate the peer (RFC 8122 section 5) and start SRTP (RFC 5764 section 4.2)."""
        association = self._dtls.association
        keys = association.srtp_keys()
        if keys is None:
            self._fail("the peer has no SRTP protection profile in common: AES-128-GCM or AES-128-CM with SHA-1")
            return
        if not association.verify_fingerprint(self.remote.fingerprints):
            self._fail("the peer's certificate has none of the fingerprints in its session description")
            return
        self._srtp = SrtpSession(
            keys,
            is_dtls_client=association.is_client,
            signalled_ssrcs=self._inbound.ssrcs,
            resends_unchanged=self._resends_unchanged,
        )
        self.state = PeerState.CONNECTED
        self._dtls.release_slot()
        if self._dtls.path is not None:
            # The handshake authenticates the peer. A slow one may end long after the peer's last check.
            self.ice.receive_handshake(self._dtls.path, now)
        self._listener.peer_connected(self, now)
        self.endpoint.connected(self, now)
        if self.ice.path is not None:
            # To know whether the peer answers.
            self.send_probe(self.ice.path, nominated=False, now=now)

    def _fail(self, reason: str) -> None:
        """Log why the handshake failed, once for a connection, and report it."""
        self._dtls.log_failure(connection_id=self.connection_id, reason=reason)
        self._listener.peer_failed(self, CloseCause.TRANSPORT_FAILED)

    # Media

    def receive_media(self, datagram: bytes, path: Path, now: float) -> None:
        """Take one SRTP or SRTCP packet that came over `path`. A packet that does not authenticate is dropped and
        counted. One that does shows that the peer is there, and may move the path.

        The second byte tells RTCP from RTP: packet types 192 to 223 are RTCP (RFC 5761 section 4). The payload type,
        which SRTP does not encrypt, and the rate limits are checked first, because decryption is the expensive part.
        """
        srtp = self._srtp
        if srtp is None or len(datagram) < 2:
            return
        if 192 <= datagram[1] <= 223:
            self._rtcp_compounds_left -= 1
            if self._rtcp_compounds_left < 0:
                self._statistics.packets_over_limit += 1
                return
            compound = srtp.unprotect_rtcp(datagram)
            if compound is not None:
                if self.ice.receive_verified(path, now):
                    self._follow_path()
                self.endpoint.receive_rtcp(compound, now)
                return
        else:
            if datagram[1] & 0x7F not in self._payload_types:
                self._statistics.unnegotiated_packets += 1
                return
            self._rtp_packets_left -= 1 if len(datagram) >= SMALL_PACKET_SIZE_BYTES else SMALL_PACKET_UNITS
            if self._rtp_packets_left < 0:
                self._statistics.packets_over_limit += 1
                return
            packet = srtp.unprotect_rtp(datagram)
            if packet is not None:
                self._statistics.received_packets += 1
                self._statistics.received_bytes += len(packet)
                if self.ice.receive_verified(path, now):
                    self._follow_path()
                self._received_on = path.socket
                self.endpoint.receive_rtp(packet, now)
                return
        self._count_rejected(srtp, datagram)

    def _count_rejected(self, srtp: SrtpSession, datagram: bytes) -> None:
        # The SSRC of the sender: RFC 3550 sections 5.1 and 6.4.1.
        ssrc = datagram[4:8] if 192 <= datagram[1] <= 223 else datagram[8:12]
        if srtp.is_beyond_limit(ssrc):
            self._statistics.unknown_ssrc_packets += 1
        else:
            self._statistics.rejected_srtp_packets += 1

    def send_rtp(self, packet: bytes) -> None:
        """Protect and send one RTP packet. It is dropped unless the connection is CONNECTED."""
        if self._srtp is not None and self.ice.path is not None:
            protected = self._srtp.protect_rtp(packet)
            if protected is not None:
                self.ice.path.send(protected)

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send one RTCP compound packet. It is dropped unless the connection is CONNECTED.

        It is also dropped without consent to send (`ice.path` is None). RTCP is repeated by its own intervals, so
        nothing is queued.
        """
        if self._srtp is not None and self.ice.path is not None:
            protected = self._srtp.protect_rtcp(compound)
            if protected is not None:
                self.ice.path.send(protected)

    def close(self, *, as_failure: bool = False) -> None:
        """Send close_notify, drop the SRTP keys and notify the media endpoint. A second call does nothing.

        With `as_failure` the peer is sent a fatal alert first.

        All of it must happen in one step of the event loop: down tracks hold libsrtp's handle, which is void without
        the session, and the endpoint detaches them before the next packet is fanned out.
        """
        if self.state is PeerState.CLOSED:
            return
        self.state = PeerState.CLOSED
        self._dtls.close(self.ice.path, as_failure=as_failure)
        self._srtp = None
        self.endpoint.closed()
