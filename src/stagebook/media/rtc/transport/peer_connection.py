"""One connection: where the peer is (ICE-lite), who it is (DTLS), and its encryption (SRTP).

Knows credentials, addresses and keys. What is in the packets is its media end's business; which ids the connection has
outside, the forwarder's.
"""

from enum import StrEnum
from typing import Protocol

import msgspec

from stagebook.media.port import CloseCause
from stagebook.media.rtc.dtls.dtls_server import DtlsServer, DtlsState
from stagebook.media.rtc.ice.udp_socket import Path
from stagebook.media.rtc.sdp.media_plan import RemoteTransport
from stagebook.media.rtc.srtp.srtp_session import CData, SrtpSession

DTLS_DATAGRAMS_PER_SECOND = 50
"""A handshake takes about ten; more is a peer that wants our processor."""


class IceCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Our side of one ICE session (RFC 8445 section 5.3)."""

    ufrag: str
    pwd: str


class PeerState(StrEnum):
    """The life of a connection. It never goes back."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class MediaEndpoint(Protocol):
    """What a connection is for: a publisher or a viewer. Packets have been verified and decrypted."""

    def connected(self, peer: "PeerConnection", now: float) -> None:
        """The transport is up; called once."""

    def path_changed(self) -> None:
        """The peer's path changed after `connected`."""

    def closed(self) -> None:
        """The connection is over; called once, also for one that was never connected."""

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """One RTP packet."""

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """One RTCP compound."""


class PeerListener(Protocol):
    """Who is told of a connection's fate."""

    def peer_connected(self, peer: "PeerConnection", now: float) -> None:
        """ICE, DTLS and SRTP are up. Called before the media end is told."""

    def peer_failed(self, peer: "PeerConnection", cause: CloseCause) -> None:
        """The connection ended by itself; the listener closes it."""


class PeerConnection:
    """One peer. It receives what the demultiplexer has found to be from it."""

    def __init__(
        self,
        *,
        connection_id: str,
        credentials: IceCredentials,
        remote: RemoteTransport,
        dtls: DtlsServer,
        endpoint: MediaEndpoint,
        listener: PeerListener,
        now: float,
    ) -> None:
        self.connection_id = connection_id
        self.credentials = credentials
        self.previous_credentials: IceCredentials | None = None
        """Of before an ICE restart; they hold until the new ones are used (RFC 8445 section 9)."""
        self.remote = remote
        self.endpoint = endpoint
        self.state = PeerState.CONNECTING
        self.path: Path | None = None
        self.opened_at = now
        self.consent_at = now
        self.dropped_packets = 0
        """Forged, replayed or malformed."""
        self._dtls = dtls
        self._dtls_budget = DTLS_DATAGRAMS_PER_SECOND
        self._dtls_due_at: float | None = None
        self._srtp: SrtpSession | None = None
        self._listener = listener

    @property
    def outbound_srtp(self) -> CData:
        """libsrtp's handle for what we send. Only for a connected peer."""
        if self._srtp is None:
            raise RuntimeError("the handshake is not finished")
        return self._srtp.outbound

    # ICE

    def password_for(self, ufrag: str) -> str | None:
        """Our password for one of our ufrags."""
        for credentials in (self.credentials, self.previous_credentials):
            if credentials is not None and credentials.ufrag == ufrag:
                return credentials.pwd
        return None

    def receive_check(self, *, path: Path, ufrag: str, nominated: bool, now: float) -> None:
        """A verified connectivity check came over `path`: consent (RFC 7675), and with USE-CANDIDATE the way to go."""
        self.consent_at = now
        if ufrag == self.credentials.ufrag:
            self.previous_credentials = None
        if path != self.path and (self.path is None or nominated):
            self.path = path
            if self.state is PeerState.CONNECTED:
                self.endpoint.path_changed()

    def restart_ice(self, *, credentials: IceCredentials, remote: RemoteTransport) -> None:
        """Take new credentials for both sides. DTLS and SRTP stay as they are (RFC 8842 section 5.5)."""
        self.previous_credentials, self.credentials = self.credentials, credentials
        self.remote = remote

    # DTLS

    def receive_dtls(self, datagram: bytes, now: float) -> None:
        """Take one DTLS datagram from an address that has been verified."""
        if self.state is PeerState.CLOSED or self._dtls_budget == 0:
            return
        self._dtls_budget -= 1
        self._dtls.receive(datagram)
        self._after_dtls(now)

    def handle_timers(self, now: float) -> None:
        """Repeat what the handshake lost. Called several times a second while connecting."""
        if self._dtls_due_at is not None and now >= self._dtls_due_at:
            self._dtls.handle_timeout()
            self._after_dtls(now)

    def reset_rate_limit(self) -> None:
        """Called about once a second."""
        self._dtls_budget = DTLS_DATAGRAMS_PER_SECOND

    def _after_dtls(self, now: float) -> None:
        self._flush_dtls()
        timeout = self._dtls.timeout_seconds
        self._dtls_due_at = None if timeout is None else now + timeout
        if self._dtls.state is DtlsState.CLOSED:
            self._listener.peer_failed(self, CloseCause.PEER_CLOSED)
        elif self._dtls.state is DtlsState.FAILED:
            self._listener.peer_failed(self, CloseCause.TRANSPORT_FAILED)
        elif self._dtls.state is DtlsState.CONNECTED and self.state is PeerState.CONNECTING:
            self._connect(now)

    def _connect(self, now: float) -> None:
        keys = self._dtls.srtp_keys()
        if keys is None or not self._dtls.verify_fingerprint(self.remote.fingerprints):
            self._listener.peer_failed(self, CloseCause.TRANSPORT_FAILED)
            return
        self._srtp = SrtpSession(keys)
        self.state = PeerState.CONNECTED
        self._listener.peer_connected(self, now)
        self.endpoint.connected(self, now)

    def _flush_dtls(self) -> None:
        for datagram in self._dtls.take_datagrams():
            if self.path is not None:
                self.path.send(datagram)

    # Media

    def receive_media(self, datagram: bytes, now: float) -> None:
        """Take one SRTP or SRTCP packet, told apart as RFC 5761 section 4 says. Forged ones are dropped."""
        srtp = self._srtp
        if srtp is None or len(datagram) < 2:
            return
        if 192 <= datagram[1] <= 223:
            compound = srtp.unprotect_rtcp(datagram)
            if compound is not None:
                self.endpoint.receive_rtcp(compound, now)
                return
        else:
            packet = srtp.unprotect_rtp(datagram)
            if packet is not None:
                self.endpoint.receive_rtp(packet, now)
                return
        self.dropped_packets += 1

    def send_rtp(self, packet: bytes) -> None:
        """Protect and send one RTP packet."""
        if self._srtp is not None and self.path is not None:
            protected = self._srtp.protect_rtp(packet)
            if protected is not None:
                self.path.send(protected)

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send one RTCP compound."""
        if self._srtp is not None and self.path is not None:
            protected = self._srtp.protect_rtcp(compound)
            if protected is not None:
                self.path.send(protected)

    def close(self) -> None:
        """Say close_notify and be done. The media end is told."""
        if self.state is PeerState.CLOSED:
            return
        self.state = PeerState.CLOSED
        self._dtls.close()
        self._flush_dtls()
        self._srtp = None
        self.endpoint.closed()
