"""DTLS with its network: paths, slots and limits. `test_peer_connection` has it in a connection."""

from datetime import UTC, datetime
from unittest.mock import Mock

from stagebook.media.rtc.dtls.dtls_association import DtlsAssociation, DtlsState
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from stagebook.media.rtc.ice.udp_socket import Path
from stagebook.media.rtc.transport.dtls_transport import DTLS_DATAGRAMS_PER_SECOND, DtlsTransport
from stagebook.media.rtc.transport.handshake_slots import MAX_HANDSHAKES_PER_NETWORK, HandshakeSlots
from stagebook.media.rtc.transport.transport_statistics import TransportStatistics
from tests.media.rtc.dtls.dtls_client import DtlsClient

CONTEXT = dtls_context(make_certificate(datetime(2026, 1, 1, tzinfo=UTC)))
IP = "192.0.2.1"


class Harness:
    """The transport, its client, and the datagrams that it sent, by the port of the path."""

    def __init__(self, *, is_client: bool = False) -> None:
        self.slots = HandshakeSlots()
        self.statistics = TransportStatistics()
        self.client = DtlsClient()
        association = DtlsAssociation(CONTEXT, is_client=is_client)
        self.transport = DtlsTransport(association, handshakes=self.slots, statistics=self.statistics)
        self.sent: list[tuple[int, bytes]] = []

    def path(self, port: int) -> Path:
        """A path to this port of the peer."""
        return Path(Mock(send=lambda datagram, address: self.sent.append((address[1], datagram))), (IP, port))

    def receive(self, datagrams: list[bytes], port: int, *, is_connecting: bool = True) -> bool:
        """Take these datagrams of the client; False if one was dropped."""
        path = self.path(port)
        taken = [self.transport.receive(each, path, 0.0, is_connecting=is_connecting) for each in datagrams]
        return all(taken)

    def connect(self, port: int) -> None:
        """Complete the handshake."""
        datagrams = self.client.step([])
        while datagrams:
            self.sent.clear()
            assert self.receive(datagrams, port)
            datagrams = self.client.step([datagram for _, datagram in self.sent])


def test_answers_go_back_where_the_datagram_came_from() -> None:
    harness = Harness()
    harness.receive(harness.client.step([]), 1)
    assert {port for port, _ in harness.sent} == {1}
    flight = harness.client.step([datagram for _, datagram in harness.sent])
    harness.sent.clear()
    harness.receive(flight, 2)
    assert {port for port, _ in harness.sent} == {2}


def test_a_handshake_has_one_slot_until_it_is_released() -> None:
    harness = Harness()
    harness.connect(1)
    assert harness.transport.state is DtlsState.CONNECTED
    assert len(harness.slots) == 1
    harness.transport.release_slot()
    harness.transport.release_slot()
    assert len(harness.slots) == 0


def test_without_a_slot_a_datagram_is_dropped_and_counted_unless_the_handshake_is_over() -> None:
    harness = Harness()
    for _ in range(MAX_HANDSHAKES_PER_NETWORK):
        harness.slots.enter(IP)
    flight = harness.client.step([])
    assert not harness.receive(flight, 1)
    assert harness.statistics.delayed_handshakes == len(flight)
    assert harness.receive(flight, 1, is_connecting=False)


def test_datagrams_above_the_limit_are_dropped_until_the_next_second() -> None:
    harness = Harness()
    assert harness.receive([b"\x17"] * DTLS_DATAGRAMS_PER_SECOND, 1)
    assert not harness.receive([b"\x17"], 1)
    harness.transport.reset_rate_limit()
    assert harness.receive([b"\x17"], 1)


def test_only_the_client_begins_and_only_once() -> None:
    assert not Harness().transport.start(Harness().path(1), 0.0)
    client = Harness(is_client=True)
    assert client.transport.start(client.path(1), 0.0)
    assert not client.transport.start(client.path(1), 0.0)
    assert len(client.sent) == 1
