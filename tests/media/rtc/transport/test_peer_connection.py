"""One peer connection over a fake socket: its states, what it reports, and the limits on what a peer may send."""

from datetime import UTC, datetime
from unittest.mock import Mock

import pytest
from pylibsrtp import Policy, Session

from stagebook.media.port import CloseCause
from stagebook.media.rtc.dtls.dtls_association import DtlsAssociation
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.ice.ice_lite import IceCredentials
from stagebook.media.rtc.ice.stun_probe import StunProbes
from stagebook.media.rtc.ice.udp_socket import Address, Path, UdpSocket
from stagebook.media.rtc.rtp.rtcp_writer import write_pli
from stagebook.media.rtc.sdp.media_plan import InboundStreams, RemoteTransport
from stagebook.media.rtc.sdp.session_description import Fingerprint
from stagebook.media.rtc.srtp.srtp_session import AEAD_AES_128_GCM, MAX_LEARNED_SSRCS, SrtpKeys, SrtpSession
from stagebook.media.rtc.transport.dtls_transport import DTLS_DATAGRAMS_PER_SECOND
from stagebook.media.rtc.transport.handshake_slots import MAX_HANDSHAKES_PER_NETWORK, HandshakeSlots
from stagebook.media.rtc.transport.peer_connection import (
    RTCP_COMPOUNDS_PER_SECOND,
    RTP_PACKETS_PER_SECOND,
    SMALL_PACKET_SIZE_BYTES,
    SMALL_PACKET_UNITS,
    PeerConnection,
    PeerState,
)
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics
from tests.media.rtc.dtls.dtls_client import DtlsClient
from tests.media.rtc.packets import rtp
from tests.media.rtc.transport.null_endpoint import NullEndpoint

CONTEXT = dtls_context(make_certificate(datetime(2026, 1, 1, tzinfo=UTC)))
ADDRESS = ("192.0.2.1", 1000)
ADDRESS_2 = ("192.0.2.2", 2000)
TRANSACTION_ID = b"probe-number"


class Harness:
    """A peer connection, its DTLS client, and the datagrams that the connection sent."""

    def __init__(self, *, fingerprint: Fingerprint | None = None) -> None:
        self.client = DtlsClient()
        self.endpoint = Mock(spec=NullEndpoint)
        self.statistics = TransportStatistics()
        self.handshakes = HandshakeSlots(clock=lambda: 0.0)
        self.sent: list[bytes] = []
        self.sent_to: list[Address] = []
        self.socket = UdpSocket("127.0.0.1", 0)
        self.socket.sendto = self._sendto
        self.socket.close()
        expected = fingerprint or self.client.certificate.fingerprint
        self.peer = PeerConnection(
            probes=StunProbes(lambda: TRANSACTION_ID),
            connection_id="c",
            credentials=IceCredentials(ufrag="ours", pwd="p" * 24),
            remote=RemoteTransport(ufrag="theirs", pwd="q" * 24, fingerprints=(expected,)),
            dtls=DtlsAssociation(CONTEXT),
            endpoint=self.endpoint,
            listener=self.endpoint,
            statistics=self.statistics,
            handshakes=self.handshakes,
            now=0.0,
            inbound=InboundStreams(payload_types=frozenset({96}), ssrcs=(1,)),
        )

    @property
    def calls(self) -> list[str]:
        """The names of the methods that the connection has called on its endpoint and its listener, in order."""
        return [name for name, _, _ in self.endpoint.mock_calls]

    def _sendto(self, data: memoryview | bytes, address: Address) -> int:
        self.sent.append(bytes(data))
        self.sent_to.append(address)
        return len(data)

    def check(self, address: Address = ADDRESS, *, nominated: bool = True) -> None:
        """Pass a verified connectivity check to the connection."""
        self.peer.receive_check(path=self.path(address), ufrag="ours", nominated=nominated, now=0.0)

    def path(self, address: Address = ADDRESS) -> Path:
        """Return the path to an address of the peer."""
        return Path(self.socket, address)

    def complete_handshake(self) -> None:
        """Complete the DTLS handshake."""
        flight = self.client.step([])
        while flight:
            for datagram in flight:
                self.peer.receive_dtls(datagram, self.path(), 0.0)
            answer, self.sent = self.sent, []
            flight = self.client.step(answer)

    def client_srtp(self) -> Session:
        """Return the client's SRTP session for what it sends."""
        material = self.client.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
        key = SrtpKeys.from_keying_material(AEAD_AES_128_GCM, material).client
        return Session(
            Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
        )


def test_a_connection_is_connected_after_the_handshake_and_the_listener_is_notified_first() -> None:
    harness = Harness()
    harness.check()
    with pytest.raises(RuntimeError, match="handshake"):
        assert harness.peer.outbound_srtp
    harness.complete_handshake()
    assert harness.peer.state is PeerState.CONNECTED
    assert harness.calls == ["peer_connected", "connected"]
    assert harness.peer.outbound_srtp


def test_a_certificate_with_another_fingerprint_fails_the_connection() -> None:
    harness = Harness(fingerprint=Fingerprint(algorithm="sha-256", digest=bytes(32)))
    harness.check()
    harness.complete_handshake()
    assert harness.peer.state is PeerState.CONNECTING
    assert harness.calls == ["peer_failed"]
    harness.endpoint.peer_failed.assert_called_once_with(harness.peer, CloseCause.TRANSPORT_FAILED)


def test_media_is_passed_on_and_forged_or_replayed_packets_are_counted() -> None:
    harness = Harness()
    harness.check()
    harness.complete_handshake()
    harness.endpoint.reset_mock()
    session = harness.client_srtp()
    packet, compound = rtp(b"payload"), write_pli(sender_ssrc=1, media_ssrc=2)
    protected = session.protect(packet)
    for datagram in (protected, session.protect_rtcp(compound), protected, b"\x80\x60" + bytes(40)):
        harness.peer.receive_media(datagram, harness.path(), 0.0)
    assert harness.calls == ["receive_rtp", "receive_rtcp"]
    harness.endpoint.receive_rtp.assert_called_once_with(packet, 0.0)
    harness.endpoint.receive_rtcp.assert_called_once_with(compound, 0.0)
    assert harness.statistics.rejected_srtp_packets == 2


def test_packets_with_a_payload_type_that_was_not_negotiated_are_not_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.check()
    harness.complete_handshake()
    session = harness.client_srtp()
    harness.endpoint.reset_mock()
    decrypted = count_decryptions(monkeypatch)
    for sequence, payload_type in enumerate((0, 95, 97, 127)):
        harness.peer.receive_media(
            session.protect(rtp(payload_type=payload_type, sequence=sequence)), harness.path(), 0.0
        )
    assert (decrypted.call_count, harness.calls) == (0, [])
    assert harness.statistics.unnegotiated_packets == 4


@pytest.mark.parametrize(
    ("datagram", "limit"),
    [
        (b"\x80\x60" + bytes(SMALL_PACKET_SIZE_BYTES - 2), RTP_PACKETS_PER_SECOND),
        (b"\x80\x60" + bytes(SMALL_PACKET_SIZE_BYTES - 3), RTP_PACKETS_PER_SECOND // SMALL_PACKET_UNITS),
        (b"\x81\xce" + bytes(40), RTCP_COMPOUNDS_PER_SECOND),
    ],
    ids=["RTP", "small RTP", "RTCP"],
)
def test_packets_beyond_the_rate_limit_are_not_decrypted(
    datagram: bytes, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = Harness()
    harness.check()
    harness.complete_handshake()
    decrypted = count_decryptions(monkeypatch)
    for _ in range(limit + 10):
        harness.peer.receive_media(datagram, harness.path(), 0.0)
    assert decrypted.call_count == limit
    assert harness.statistics.packets_over_limit == 10
    harness.peer.reset_rate_limit()
    harness.peer.receive_media(datagram, harness.path(), 0.0)
    assert decrypted.call_count == limit + 1


def test_a_flood_of_ssrcs_does_not_stop_the_signalled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.check()
    harness.complete_handshake()
    session = harness.client_srtp()
    decrypted = count_decryptions(monkeypatch)
    harness.endpoint.reset_mock()
    for ssrc in range(1000, 3000):
        harness.peer.receive_media(session.protect(rtp(ssrc=ssrc)), harness.path(), 0.0)
        harness.peer.receive_media(
            session.protect_rtcp(write_pli(sender_ssrc=ssrc + 5000, media_ssrc=1)), harness.path(), 0.0
        )
        harness.peer.reset_rate_limit()
    assert decrypted.call_count == MAX_LEARNED_SSRCS
    assert harness.statistics.unknown_ssrc_packets == 4000 - MAX_LEARNED_SSRCS
    harness.endpoint.reset_mock()
    harness.peer.receive_media(session.protect(rtp(ssrc=1)), harness.path(), 0.0)
    assert harness.calls == ["receive_rtp"]


def count_decryptions(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Return a mock that counts the calls of libsrtp, which still works."""
    counted = Mock(side_effect=SrtpSession._process, autospec=True)
    monkeypatch.setattr(SrtpSession, "_process", lambda *arguments: counted(*arguments))
    return counted


def test_a_nominated_check_from_another_address_changes_the_path_of_a_connected_peer() -> None:
    harness = Harness()
    harness.check()
    harness.check(ADDRESS_2)
    harness.complete_handshake()
    harness.endpoint.reset_mock()
    harness.check(ADDRESS, nominated=False)
    assert harness.calls == []
    harness.check(ADDRESS)
    assert harness.calls == ["path_changed"]


def test_dtls_answers_go_to_the_address_that_the_datagram_came_from() -> None:
    harness = Harness()
    harness.check()
    for datagram in harness.client.step([]):
        harness.peer.receive_dtls(datagram, harness.path(ADDRESS_2), 0.0)
    assert set(harness.sent_to) == {ADDRESS_2}


def test_media_from_elsewhere_moves_a_quiet_path_and_expired_consent_stops_it() -> None:
    harness = Harness()
    harness.check()
    harness.complete_handshake()
    session = harness.client_srtp()
    harness.endpoint.reset_mock()
    for sequence, now in ((1, 2.9), (2, 3.0)):
        protected = session.protect(rtp(b"payload", sequence=sequence))
        harness.peer.receive_media(protected, harness.path(ADDRESS_2), now)
    assert harness.calls == ["receive_rtp", "path_changed", "receive_rtp"]
    harness.sent_to.clear()
    harness.peer.send_rtp(rtp(b"media"))
    assert harness.sent_to == [ADDRESS_2]
    harness.peer.expire_consent(33.1)
    assert harness.calls[3:] == ["path_changed"]
    harness.peer.send_rtp(rtp(b"media", sequence=2))
    harness.peer.close()
    assert harness.sent_to == [ADDRESS_2]


def test_a_close_notify_of_the_peer_is_reported() -> None:
    harness = Harness()
    harness.check()
    harness.complete_handshake()
    harness.endpoint.reset_mock()
    harness.client.connection.shutdown()
    for datagram in harness.client.take_datagrams():
        harness.peer.receive_dtls(datagram, harness.path(), 0.0)
    assert harness.calls == ["peer_failed"]
    harness.endpoint.peer_failed.assert_called_once_with(harness.peer, CloseCause.PEER_CLOSED)


def test_closing_sends_close_notify_and_notifies_the_endpoint_once() -> None:
    harness = Harness()
    harness.check()
    harness.complete_handshake()
    harness.endpoint.reset_mock()
    harness.peer.close()
    harness.peer.close()
    assert len(harness.sent) == 1
    assert harness.calls == ["closed"]
    harness.peer.send_rtp(rtp(b"payload"))
    assert len(harness.sent) == 1


def test_dtls_datagrams_are_limited_per_second() -> None:
    harness = Harness()
    harness.check()
    # Application data before the handshake: OpenSSL ignores it, but each datagram counts.
    for _ in range(DTLS_DATAGRAMS_PER_SECOND):
        harness.peer.receive_dtls(b"\x17\xfe\xfd\0\1\0\0\0\0\0\x50\0\x20" + bytes(32), harness.path(), 0.0)
    flight = harness.client.step([])
    for datagram in flight:
        harness.peer.receive_dtls(datagram, harness.path(), 0.0)
    assert harness.sent == []
    harness.peer.reset_rate_limit()
    for datagram in flight:
        harness.peer.receive_dtls(datagram, harness.path(), 0.0)
    assert harness.sent


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_handshake_waits_while_its_network_has_too_many_in_progress(*, is_closed: bool) -> None:
    harness = Harness()
    harness.check()
    slots = [harness.handshakes.enter(ADDRESS[0]) for _ in range(MAX_HANDSHAKES_PER_NETWORK)]
    assert slots[0] is not None
    flight = harness.client.step([])
    for datagram in flight:
        harness.peer.receive_dtls(datagram, harness.path(), 0.0)
    assert harness.sent == []
    assert harness.statistics.delayed_handshakes == len(flight)
    harness.handshakes.leave(slots[0])
    # The client repeats its first flight.
    for datagram in flight:
        harness.peer.receive_dtls(datagram, harness.path(), 0.0)
    answer, harness.sent = harness.sent, []
    assert answer
    assert len(harness.handshakes) == MAX_HANDSHAKES_PER_NETWORK
    # The slot is given back at the end of the handshake, or when the connection is closed before.
    if is_closed:
        harness.peer.close()
    else:
        for datagram in harness.client.step(answer):
            harness.peer.receive_dtls(datagram, harness.path(), 0.0)
        assert harness.peer.state is PeerState.CONNECTED
    assert len(harness.handshakes) == MAX_HANDSHAKES_PER_NETWORK - 1
