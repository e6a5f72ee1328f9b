"""The demultiplexer: STUN by a verified ufrag, DTLS and SRTP by the sender's address."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aioice import stun
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.dtls.dtls_association import DtlsAssociation
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.ice.ice_lite import QUIET_PATH_SECONDS, IceCredentials
from stagebook.media.rtc.ice.stun_probe import StunProbes
from stagebook.media.rtc.ice.udp_socket import Address, UdpSocket
from stagebook.media.rtc.sdp.media_plan import InboundStreams, RemoteTransport
from stagebook.media.rtc.transport.demultiplexer import (
    CHECKS_PER_SECOND,
    MAX_ADDRESSES_PER_CONNECTION,
    MAX_MOVED_ADDRESSES_PER_SECOND,
    MAX_NEW_ADDRESSES_PER_SECOND,
    Demultiplexer,
    UfragTable,
)
from stagebook.media.rtc.transport.handshake_slots import HandshakeSlots
from stagebook.media.rtc.transport.peer_connection import PeerConnection, PeerState
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics
from tests.media.rtc.transport.null_endpoint import NullEndpoint

PWD = "p" * 24
ADDRESS_1, ADDRESS_2 = ("192.0.2.1", 1000), ("192.0.2.2", 2000)
CONTEXT = dtls_context(make_certificate(datetime(2026, 1, 1, tzinfo=UTC)))
TRANSACTION_ID = b"probe-number"


class Harness:
    """A demultiplexer with one connection, and the datagrams that it sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []
        self.socket = UdpSocket("127.0.0.1", 0)
        self.socket.sendto = self._sendto
        self.ufrags = UfragTable()
        self.statistics = TransportStatistics()
        self.demultiplexer = Demultiplexer(self.socket, self.ufrags, self.statistics)
        self.peer = self.add_peer("ours")

    def add_peer(self, ufrag: str) -> PeerConnection:
        """Add another connection."""
        peer = PeerConnection(
            probes=StunProbes(lambda: TRANSACTION_ID),
            connection_id=ufrag,
            credentials=IceCredentials(ufrag=ufrag, pwd=PWD),
            remote=RemoteTransport(ufrag="theirs", pwd="q" * 24, fingerprints=()),
            dtls=DtlsAssociation(CONTEXT),
            endpoint=NullEndpoint(),
            listener=NullEndpoint(),
            statistics=self.statistics,
            handshakes=HandshakeSlots(),
            inbound=InboundStreams(),
            now=0.0,
        )
        self.ufrags.add(ufrag, peer)
        return peer

    def _sendto(self, data: memoryview | bytes, address: Address) -> int:
        self.sent.append((bytes(data), address))
        return len(data)

    def check(
        self, address: Address, *, ufrag: str = "ours", pwd: str = PWD, nominate: bool = False, now: float = 1.0
    ) -> bool:
        """Deliver a connectivity check. Return whether it was answered."""
        message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{ufrag}:theirs"
        if nominate:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(pwd.encode())
        before = len(self.sent)
        self.demultiplexer.receive(bytes(message), address, now)
        return len(self.sent) > before

    def respond(self, address: Address, *, pwd: str = "q" * 24, now: float = 1.0) -> None:
        """Deliver a response to a request of the engine."""
        message = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=TRANSACTION_ID,
        )
        message.add_message_integrity(pwd.encode())
        self.demultiplexer.receive(bytes(message), address, now)

    def owner(self, address: Address) -> PeerConnection | None:
        """The connection that receives the media from an address."""
        route = self.demultiplexer._routes.get(address)
        return None if route is None else route.peer

    def prove(self, address: Address) -> None:
        """Let the first connection complete its handshake from an address."""
        self.check(address)
        assert self.peer.ice.path is not None
        self.peer.ice.receive_handshake(self.peer.ice.path, 1.0)
        self.sent.clear()


@pytest.fixture(name="harness")
def harness_fixture() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.socket.close()


def test_a_check_with_an_unknown_required_attribute_gets_error_420_and_renews_no_consent(harness: Harness) -> None:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes["USERNAME"] = "ours:theirs"
    message.attributes["REQUESTED-TRANSPORT"] = 0x11000000
    message.add_message_integrity(PWD.encode())
    harness.demultiplexer.receive(bytes(message), ADDRESS_1, 1.0)
    (answer, address), *more = harness.sent
    assert (address, more) == (ADDRESS_1, [])
    assert stun.parse_message(answer).attributes["ERROR-CODE"][0] == 420
    assert harness.peer.ice.path is None


def test_a_verified_check_is_answered_and_renews_consent(harness: Harness) -> None:
    assert harness.check(ADDRESS_1, now=5.0)
    assert harness.peer.ice.path is not None
    assert harness.peer.ice.path.address == ADDRESS_1
    assert harness.peer.ice.consent_at == 5.0


def test_a_check_with_a_wrong_password_or_ufrag_is_ignored(harness: Harness) -> None:
    assert not harness.check(ADDRESS_1, pwd="x" * 24)
    assert not harness.check(ADDRESS_1, ufrag="unknown")
    assert harness.peer.ice.path is None
    assert harness.peer.ice.consent_at == 0.0


def test_only_a_nominated_check_changes_the_path(harness: Harness) -> None:
    harness.check(ADDRESS_1)
    harness.check(ADDRESS_2)
    assert harness.peer.ice.path is not None
    assert harness.peer.ice.path.address == ADDRESS_1
    harness.check(ADDRESS_2, nominate=True)
    assert harness.peer.ice.path.address == ADDRESS_2


def test_an_indication_counts_from_the_path_of_a_connection_and_gets_no_answer(harness: Harness) -> None:
    indication = bytes(stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.INDICATION))
    harness.check(ADDRESS_1, now=1.0)
    harness.sent.clear()
    harness.demultiplexer.receive(indication, ADDRESS_2, 5.0)
    assert (harness.peer.ice.last_received_at, harness.statistics.unknown_datagrams) == (1.0, 1)
    harness.demultiplexer.receive(indication, ADDRESS_1, 6.0)
    assert (harness.peer.ice.last_received_at, harness.peer.ice.consent_at) == (6.0, 1.0)
    assert harness.sent == []


def test_a_forged_check_does_not_take_the_address_of_another_connection(harness: Harness) -> None:
    other = harness.add_peer("others")
    harness.prove(ADDRESS_1)
    for _ in range(CHECKS_PER_SECOND):
        harness.check(ADDRESS_1, ufrag="others", nominate=True)
    assert harness.owner(ADDRESS_1) is harness.peer
    assert other.ice.path is None
    # One request of the engine asks who is there. The address has its whole share of checks.
    assert len(harness.sent) == 1
    harness.respond(ADDRESS_1, pwd="x" * 24)
    assert harness.owner(ADDRESS_1) is harness.peer
    assert harness.check(ADDRESS_1)


def test_a_peer_that_responds_gets_the_address_of_another_connection(harness: Harness) -> None:
    other = harness.add_peer("others")
    harness.prove(ADDRESS_1)
    harness.check(ADDRESS_1, ufrag="others")
    harness.respond(ADDRESS_1)
    assert harness.owner(ADDRESS_1) is other
    assert other.ice.path is not None


def test_an_address_whose_connection_is_silent_goes_to_the_next_check(harness: Harness) -> None:
    other = harness.add_peer("others")
    harness.prove(ADDRESS_1)
    assert harness.check(ADDRESS_1, ufrag="others", now=1.0 + QUIET_PATH_SECONDS)
    assert harness.owner(ADDRESS_1) is other


def test_an_address_belongs_to_the_connection_that_proved_it_last(harness: Harness) -> None:
    other = harness.add_peer("others")
    harness.check(ADDRESS_1)
    harness.check(ADDRESS_1, ufrag="others")
    harness.ufrags.remove_peer(harness.peer)
    before = harness.statistics.unknown_datagrams
    harness.demultiplexer.receive(b"\x80" + bytes(20), ADDRESS_1, 1.0)
    assert harness.statistics.unknown_datagrams == before
    assert other.ice.path is not None


def test_media_and_dtls_from_an_unverified_address_are_dropped(harness: Harness) -> None:
    for first in (20, 63, 128, 191):
        harness.demultiplexer.receive(bytes([first]) * 40, ADDRESS_1, 1.0)
    assert harness.statistics.unknown_datagrams == 4
    assert harness.sent == []


def test_a_removed_connection_receives_no_datagrams(harness: Harness) -> None:
    harness.check(ADDRESS_1)
    harness.ufrags.remove_peer(harness.peer)
    assert not harness.check(ADDRESS_1)
    harness.demultiplexer.receive(b"\x80" + bytes(20), ADDRESS_1, 1.0)
    assert harness.statistics.unknown_datagrams == 2


def test_a_connection_keeps_only_its_latest_addresses(harness: Harness) -> None:
    addresses = [("192.0.2.1", 1000 + number) for number in range(MAX_ADDRESSES_PER_CONNECTION + 1)]
    for address in addresses:
        harness.check(address)
        harness.demultiplexer.reset_rate_limits()
    for address in addresses:
        harness.demultiplexer.receive(b"\x80" + bytes(20), address, 1.0)
    assert harness.statistics.unknown_datagrams == 1


def test_the_previous_ufrag_is_removed_by_the_first_check_with_the_new_one(harness: Harness) -> None:
    harness.peer.ice.restart(IceCredentials(ufrag="new", pwd=PWD), now=0.0)
    harness.ufrags.add("new", harness.peer)
    assert harness.check(ADDRESS_1)
    assert harness.check(ADDRESS_1, ufrag="new")
    assert not harness.check(ADDRESS_1)
    assert harness.ufrags.get("ours") is None


def test_checks_from_one_address_are_limited_per_second(harness: Harness) -> None:
    answered = sum(harness.check(ADDRESS_1) for _ in range(CHECKS_PER_SECOND + 10))
    assert answered == CHECKS_PER_SECOND
    assert harness.check(ADDRESS_2)
    harness.demultiplexer.reset_rate_limits()
    assert harness.check(ADDRESS_1)


def test_floods_from_new_addresses_do_not_keep_out_a_connection_that_is_being_set_up(harness: Harness) -> None:
    attackers = MAX_MOVED_ADDRESSES_PER_SECOND // MAX_NEW_ADDRESSES_PER_SECOND + 1
    answered = 0
    for number in range(attackers):
        harness.add_peer(f"attacker{number}").state = PeerState.CONNECTED
        for port in range(MAX_NEW_ADDRESSES_PER_SECOND):
            answered += harness.check((f"198.51.100.{number % 256}", number * 8 + port), ufrag=f"attacker{number}")
    assert answered == MAX_MOVED_ADDRESSES_PER_SECOND
    assert harness.check(ADDRESS_1)


def test_a_flood_from_many_ports_that_names_one_connection_is_not_verified(harness: Harness) -> None:
    attacker = harness.add_peer("attacker")
    for port in range(100 * MAX_NEW_ADDRESSES_PER_SECOND):
        harness.check(("198.51.100.1", port), ufrag="attacker", pwd="x" * 24)
    assert {peer for _, peer in harness.demultiplexer._checks} == {attacker}
    assert len(harness.demultiplexer._checks) == MAX_NEW_ADDRESSES_PER_SECOND
    assert harness.check(ADDRESS_1)


def test_a_connection_may_try_so_many_new_addresses_per_second(harness: Harness) -> None:
    answered = [harness.check(("192.0.2.1", port)) for port in range(MAX_NEW_ADDRESSES_PER_SECOND + 1)]
    assert answered == [True] * MAX_NEW_ADDRESSES_PER_SECOND + [False]
    harness.demultiplexer.reset_rate_limits()
    assert harness.check(("192.0.2.1", MAX_NEW_ADDRESSES_PER_SECOND))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100))
def test_arbitrary_datagrams_raise_nothing_and_get_no_answer(harness: Harness, noise: bytes) -> None:
    harness.check(ADDRESS_1)
    harness.sent.clear()
    harness.demultiplexer.receive(noise, ADDRESS_2, 1.0)
    harness.demultiplexer.receive(b"\0\1\0" + noise, ADDRESS_2, 1.0)
    harness.demultiplexer.receive(noise, ADDRESS_1, 1.0)
    assert all(address == ADDRESS_1 for _, address in harness.sent)
