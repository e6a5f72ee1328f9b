"""A DTLS association against OpenSSL's own, datagram by datagram."""

import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL.SSL import _ffi, _lib  # type: ignore[attr-defined]  # to measure what OpenSSL has not read

from stagebook.media.rtc.dtls.dtls_association import (
    DATAGRAM_SIZE_BYTES,
    MAX_REPEATED_FLIGHTS,
    DtlsAssociation,
    DtlsState,
)
from stagebook.media.rtc.dtls.dtls_certificate import (
    dtls_context,
    fingerprint_of,
    make_certificate,
)
from stagebook.media.rtc.dtls.dtls_records import MAX_RECORDS, RecordFilter, split_records
from stagebook.media.rtc.sdp.session_description import Fingerprint
from stagebook.media.rtc.srtp.srtp_session import AEAD_AES_128_GCM, AES128_CM_SHA1_80
from tests.media.rtc.dtls.dtls_client import DtlsClient, complete_handshake, exchange

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(name="server")
def server_fixture() -> DtlsAssociation:
    return DtlsAssociation(dtls_context(make_certificate(NOW)))


def test_a_handshake_gives_both_sides_the_same_keys(server: DtlsAssociation) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    keys = server.srtp_keys()
    assert keys is not None
    assert keys.profile is AEAD_AES_128_GCM
    material = client.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
    assert keys.client == material[:16] + material[32:44]
    assert keys.server == material[16:32] + material[44:]


def test_a_client_that_supports_only_aes_cm_gets_it(server: DtlsAssociation) -> None:
    complete_handshake(server, DtlsClient(srtp_profiles=AES128_CM_SHA1_80.name))
    keys = server.srtp_keys()
    assert keys is not None
    assert keys.profile is AES128_CM_SHA1_80


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_one_matching_fingerprint_verifies_the_peer(server: DtlsAssociation, algorithm: str) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    expected = fingerprint_of(client.certificate.x509, algorithm)
    other = Fingerprint(algorithm=algorithm, digest=bytes(len(expected.digest)))
    assert server.verify_fingerprint([other, expected])
    assert not server.verify_fingerprint([other])
    assert not server.verify_fingerprint([])
    assert not server.verify_fingerprint([Fingerprint(algorithm="sha-1", digest=expected.digest)])


def test_no_peer_is_verified_before_the_handshake(server: DtlsAssociation) -> None:
    assert not server.verify_fingerprint([])


def test_a_lost_flight_is_retransmitted_when_its_timer_expires(server: DtlsAssociation) -> None:
    before = server.timeout_seconds
    assert before is None
    client = DtlsClient()
    for datagram in client.step([]):
        server.receive(datagram)
    lost = list(server.take_datagrams())
    assert lost
    waiting = server.timeout_seconds
    assert waiting is not None
    assert 0 < waiting <= 1
    # OpenSSL reads the system clock, so the test has to wait. Before the timeout nothing is sent.
    began = time.monotonic()
    server.handle_timeout()
    retransmitted = list(server.take_datagrams())
    assert retransmitted == [] or time.monotonic() - began >= waiting
    deadline = time.monotonic() + 30
    while not retransmitted and time.monotonic() < deadline:
        time.sleep(server.timeout_seconds or 0)
        server.handle_timeout()
        retransmitted = list(server.take_datagrams())
    exchange(server, client, client.step(retransmitted))
    assert server.state is DtlsState.CONNECTED


def test_a_lost_first_flight_is_sent_again_when_the_client_repeats_its_hello(server: DtlsAssociation) -> None:
    client = DtlsClient()
    (hello,) = client.step([])
    server.receive(hello)
    lost = list(server.take_datagrams())
    server.receive(hello)
    again = list(server.take_datagrams())
    assert again == lost
    exchange(server, client, client.step(again))
    assert server.state is DtlsState.CONNECTED
    assert server.srtp_keys() is not None


def fragments(hello: bytes) -> list[bytes]:
    """A ClientHello in two records, as Chromium sends it."""
    header, body = hello[13:25], hello[25:]
    parts = [(0, body[:100]), (100, body[100:])]
    return [
        hello[:10]
        + bytes([position and 1])
        + (12 + len(part)).to_bytes(2)
        + header[:6]
        + position.to_bytes(3)
        + len(part).to_bytes(3)
        + part
        for position, part in parts
    ]


def test_a_first_flight_that_is_lost_twice_is_sent_again_to_a_client_whose_hello_has_two_fragments(
    server: DtlsAssociation,
) -> None:
    client = DtlsClient()
    (hello,) = client.step([])
    flights = []
    for _ in range(3):
        for fragment in fragments(hello):
            server.receive(fragment)
        flights.append(list(server.take_datagrams()))
    assert flights[0]
    assert flights == [flights[0]] * 3
    assert server.state is DtlsState.HANDSHAKING


def test_repeated_hellos_are_answered_a_limited_number_of_times_and_not_once_the_client_goes_on() -> None:
    context = dtls_context(make_certificate(NOW))
    server, client = DtlsAssociation(context), DtlsClient()
    (hello,) = client.step([])
    server.receive(hello)
    flight = list(server.take_datagrams())
    answers = []
    for _ in range(2 * MAX_REPEATED_FLIGHTS):
        server.receive(hello)
        answers += [list(server.take_datagrams())]
    assert answers == [flight] * MAX_REPEATED_FLIGHTS + [[]] * MAX_REPEATED_FLIGHTS
    other, client = DtlsAssociation(context), DtlsClient()
    (hello,) = client.step([])
    other.receive(hello)
    first, *_ = client.step(list(other.take_datagrams()))
    # The client's answer without its end.
    certificate = next(split_records(first))
    other.receive(certificate)
    other.receive(hello)
    assert list(other.take_datagrams()) == []


def test_handshake_datagrams_stay_within_the_size_limit(server: DtlsAssociation) -> None:
    client = DtlsClient()
    flight = client.step([])
    while flight:
        for datagram in flight:
            server.receive(datagram)
        answer = list(server.take_datagrams())
        assert all(len(datagram) <= DATAGRAM_SIZE_BYTES for datagram in answer)
        flight = client.step(answer)
    assert server.state is DtlsState.CONNECTED


def test_a_close_notify_of_the_peer_closes_the_association(server: DtlsAssociation) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    client.connection.shutdown()
    for datagram in client.take_datagrams():
        server.receive(datagram)
    assert server.state is DtlsState.CLOSED


def test_closing_sends_close_notify(server: DtlsAssociation) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    server.close()
    for datagram in server.take_datagrams():
        client.connection.bio_write(datagram)
    with pytest.raises(SSL.ZeroReturnError):
        client.connection.recv(100)


def test_bad_records_after_the_handshake_are_ignored(server: DtlsAssociation) -> None:
    complete_handshake(server, DtlsClient())
    server.receive(b"\x17\xfe\xfd\0\1\0\0\0\0\0\x50\0\x20" + bytes(32))
    server.receive(b"\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\2\2\x28")
    assert server.state is DtlsState.CONNECTED


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=4))
def test_arbitrary_bytes_raise_nothing(noise: list[bytes]) -> None:
    server = DtlsAssociation(_NOISE_CONTEXT)
    for datagram in noise:
        server.receive(b"\x16\xfe\xfd" + datagram)
        server.receive(datagram)
        list(server.take_datagrams())


_NOISE_CONTEXT = dtls_context(make_certificate(NOW))


def unread_bytes(association: DtlsAssociation) -> int:
    """Return how much OpenSSL has not read of what it was given."""
    data = _ffi.new("char **")
    return int(_lib.BIO_get_mem_data(association._connection._into_ssl, data))


def application_data(client: DtlsClient, count: int) -> bytes:
    """Return a datagram of `count` records of application data."""
    for _ in range(count):
        client.connection.send(b"x" * 20)
    return b"".join(client.take_datagrams())


def test_nothing_of_a_datagram_is_left_and_close_notify_behind_other_records_is_seen(server: DtlsAssociation) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    for _ in range(200):
        server.receive(application_data(client, 20))
        assert unread_bytes(server) == 0
    before = application_data(client, 5)
    client.connection.shutdown()
    server.receive(before + b"".join(client.take_datagrams()))
    assert server.state is DtlsState.CLOSED


def test_openssl_reads_every_record_that_it_is_given(server: DtlsAssociation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordFilter, "select", lambda _self, datagram, *, handshaking: datagram)  # noqa: ARG005
    client = DtlsClient()
    complete_handshake(server, client)
    for _ in range(50):
        server.receive(application_data(client, MAX_RECORDS))
        assert unread_bytes(server) == 0


def test_a_close_notify_in_the_datagram_that_completes_the_handshake_is_seen() -> None:
    association, peer = DtlsAssociation(_NOISE_CONTEXT, is_client=True), DtlsClient()
    peer.connection.set_accept_state()
    association.start()
    flight = peer.step(list(association.take_datagrams()))
    for datagram in flight:
        association.receive(datagram)
    last_flight = peer.step(list(association.take_datagrams()))
    peer.connection.shutdown()
    association.receive(b"".join([*last_flight, *peer.take_datagrams()]))
    assert association.state is DtlsState.CLOSED


def test_as_the_client_the_association_begins_the_handshake_once() -> None:
    association, peer = DtlsAssociation(_NOISE_CONTEXT, is_client=True), DtlsClient()
    peer.connection.set_accept_state()
    association.start()
    flight = list(association.take_datagrams())
    assert flight
    association.start()
    assert list(association.take_datagrams()) == []
    exchange(association, peer, peer.step(flight))
    assert association.state is DtlsState.CONNECTED
    assert association.verify_fingerprint([peer.certificate.fingerprint])
    keys = association.srtp_keys()
    assert keys is not None
    assert keys.client == peer_keying_material(peer)[:16] + peer_keying_material(peer)[32:44]


def peer_keying_material(peer: DtlsClient) -> bytes:
    return peer.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)


def test_the_server_does_not_begin_a_handshake(server: DtlsAssociation) -> None:
    server.start()
    assert list(server.take_datagrams()) == []


def test_a_certificate_on_an_unsupported_curve_fails_with_the_reason(server: DtlsAssociation) -> None:
    client = DtlsClient(certificate=make_certificate(NOW, ec.SECP224R1()))
    with pytest.raises(SSL.Error):
        complete_handshake(server, client)
    assert server.state is DtlsState.FAILED
    assert "P-256, P-384 or P-521" in server.failure
