"""Datagrams to their connections: by a verified ufrag first, then by address."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aioice import stun
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagebook.media.port import CloseCause
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.dtls.dtls_server import DtlsServer
from stagebook.media.rtc.ice.udp_socket import UdpSocket
from stagebook.media.rtc.sdp.media_plan import RemoteTransport
from stagebook.media.rtc.sfu.down_track import Address
from stagebook.media.rtc.transport.demultiplexer import (
    CHECKS_PER_SECOND,
    MAX_ADDRESSES_PER_CONNECTION,
    MAX_UNKNOWN_ADDRESSES_PER_SECOND,
    Demultiplexer,
    UfragTable,
)
from stagebook.media.rtc.transport.peer_connection import IceCredentials, PeerConnection

PWD = "p" * 24
ONE, TWO = ("192.0.2.1", 1000), ("192.0.2.2", 2000)
CONTEXT = dtls_context(make_certificate(datetime(2026, 1, 1, tzinfo=UTC)))


class Nothing:
    """A media end and a listener that do nothing."""

    def connected(self, peer: PeerConnection, now: float) -> None:
        """Ignored."""

    def path_changed(self) -> None:
        """Ignored."""

    def closed(self) -> None:
        """Ignored."""

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Ignored."""

    def receive_rtcp(self, compound: bytes, now: float) -> None:
        """Ignored."""

    def peer_connected(self, peer: PeerConnection, now: float) -> None:
        """Ignored."""

    def peer_failed(self, peer: PeerConnection, cause: CloseCause) -> None:
        """Ignored."""


class Bench:
    """A demultiplexer with one connection, and what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []
        self.socket = UdpSocket("127.0.0.1", 0)
        self.socket.sendto = self._sendto
        self.ufrags = UfragTable()
        self.demultiplexer = Demultiplexer(self.socket, self.ufrags)
        self.peer = self.add_peer("ours")

    def add_peer(self, ufrag: str) -> PeerConnection:
        """Another connection."""
        peer = PeerConnection(
            connection_id=ufrag,
            credentials=IceCredentials(ufrag=ufrag, pwd=PWD),
            remote=RemoteTransport(ufrag="theirs", pwd="q" * 24, fingerprints=()),
            dtls=DtlsServer(CONTEXT),
            endpoint=Nothing(),
            listener=Nothing(),
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
        """Bring a connectivity check; whether it was answered."""
        message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{ufrag}:theirs"
        if nominate:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(pwd.encode())
        before = len(self.sent)
        self.demultiplexer.receive(bytes(message), address, now)
        return len(self.sent) > before


@pytest.fixture(name="bench")
def bench_fixture() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.socket.close()


def test_a_check_with_an_attribute_that_must_be_understood_gives_no_consent_and_is_told_why(bench: Bench) -> None:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes["USERNAME"] = "ours:theirs"
    message.attributes["REQUESTED-TRANSPORT"] = 0x11000000
    message.add_message_integrity(PWD.encode())
    bench.demultiplexer.receive(bytes(message), ONE, 1.0)
    (answer, address), *more = bench.sent
    assert (address, more) == (ONE, [])
    assert stun.parse_message(answer).attributes["ERROR-CODE"][0] == 420
    assert bench.peer.path is None


def test_a_verified_check_is_answered_and_gives_consent(bench: Bench) -> None:
    assert bench.check(ONE, now=5.0)
    assert bench.peer.path is not None
    assert bench.peer.path.address == ONE
    assert bench.peer.consent_at == 5.0


def test_a_check_with_the_wrong_password_or_ufrag_is_nothing(bench: Bench) -> None:
    assert not bench.check(ONE, pwd="x" * 24)
    assert not bench.check(ONE, ufrag="nobody")
    assert bench.peer.path is None
    assert bench.peer.consent_at == 0.0


def test_the_path_moves_only_with_a_nomination(bench: Bench) -> None:
    bench.check(ONE)
    bench.check(TWO)
    assert bench.peer.path is not None
    assert bench.peer.path.address == ONE
    bench.check(TWO, nominate=True)
    assert bench.peer.path.address == TWO


def test_an_address_that_another_connection_proves_is_its_own_from_then_on(bench: Bench) -> None:
    other = bench.add_peer("others")
    bench.check(ONE)
    bench.check(ONE, ufrag="others")
    bench.ufrags.remove(bench.peer)
    before = bench.demultiplexer.unknown_datagrams
    bench.demultiplexer.receive(b"\x80" + bytes(20), ONE, 1.0)
    assert bench.demultiplexer.unknown_datagrams == before
    assert other.path is not None


def test_media_and_handshakes_of_strangers_are_dropped(bench: Bench) -> None:
    for first in (20, 63, 128, 191):
        bench.demultiplexer.receive(bytes([first]) * 40, ONE, 1.0)
    assert bench.demultiplexer.unknown_datagrams == 4
    assert bench.sent == []


def test_a_removed_connection_is_reached_no_more(bench: Bench) -> None:
    bench.check(ONE)
    bench.ufrags.remove(bench.peer)
    assert not bench.check(ONE)
    bench.demultiplexer.receive(b"\x80" + bytes(20), ONE, 1.0)
    assert bench.demultiplexer.unknown_datagrams == 2


def test_a_connection_keeps_its_last_addresses_only(bench: Bench) -> None:
    addresses = [("192.0.2.1", 1000 + number) for number in range(MAX_ADDRESSES_PER_CONNECTION + 1)]
    for address in addresses:
        bench.check(address)
    for address in addresses:
        bench.demultiplexer.receive(b"\x80" + bytes(20), address, 1.0)
    assert bench.demultiplexer.unknown_datagrams == 1


def test_checks_of_one_address_are_limited_until_the_next_second(bench: Bench) -> None:
    answered = sum(bench.check(ONE) for _ in range(CHECKS_PER_SECOND + 10))
    assert answered == CHECKS_PER_SECOND
    assert bench.check(TWO)
    bench.demultiplexer.reset_rate_limits()
    assert bench.check(ONE)


def test_a_flood_from_many_addresses_leaves_known_ones_alone(bench: Bench) -> None:
    bench.check(ONE)
    bench.demultiplexer.reset_rate_limits()
    for number in range(MAX_UNKNOWN_ADDRESSES_PER_SECOND):
        bench.check(("198.51.100.1", number), pwd="x" * 24)
    assert not bench.check(("198.51.100.2", 1))
    assert bench.check(ONE)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100))
def test_any_datagram_is_taken_without_an_exception_or_an_answer(bench: Bench, noise: bytes) -> None:
    bench.check(ONE)
    bench.sent.clear()
    bench.demultiplexer.receive(noise, TWO, 1.0)
    bench.demultiplexer.receive(b"\0\1\0" + noise, TWO, 1.0)
    bench.demultiplexer.receive(noise, ONE, 1.0)
    assert all(address == ONE for _, address in bench.sent)
