"""The DTLS server against OpenSSL's client, datagram by datagram."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from stagebook.media.rtc.dtls.dtls_certificate import (
    dtls_context,
    fingerprint_of,
    make_certificate,
)
from stagebook.media.rtc.dtls.dtls_server import DATAGRAM_SIZE_BYTES, DtlsServer, DtlsState
from stagebook.media.rtc.sdp.session_description import Fingerprint
from stagebook.media.rtc.srtp.srtp_session import AEAD_AES_128_GCM, AES128_CM_SHA1_80
from tests.media.rtc.dtls.dtls_client import DtlsClient, complete_handshake, exchange

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(name="server")
def server_fixture() -> DtlsServer:
    return DtlsServer(dtls_context(make_certificate(NOW)))


def test_a_handshake_gives_both_sides_the_same_keys(server: DtlsServer) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    keys = server.srtp_keys()
    assert keys is not None
    assert keys.profile is AEAD_AES_128_GCM
    material = client.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
    assert keys.client == material[:16] + material[32:44]
    assert keys.server == material[16:32] + material[44:]


def test_a_client_that_supports_only_aes_cm_gets_it(server: DtlsServer) -> None:
    complete_handshake(server, DtlsClient(srtp_profiles=AES128_CM_SHA1_80.name))
    keys = server.srtp_keys()
    assert keys is not None
    assert keys.profile is AES128_CM_SHA1_80


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_one_matching_fingerprint_verifies_the_peer(server: DtlsServer, algorithm: str) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    expected = fingerprint_of(client.certificate.x509, algorithm)
    other = Fingerprint(algorithm=algorithm, digest=bytes(len(expected.digest)))
    assert server.verify_fingerprint([other, expected])
    assert not server.verify_fingerprint([other])
    assert not server.verify_fingerprint([])
    assert not server.verify_fingerprint([Fingerprint(algorithm="sha-1", digest=expected.digest)])


def test_no_peer_is_verified_before_the_handshake(server: DtlsServer) -> None:
    assert not server.verify_fingerprint([])


def test_a_lost_flight_is_retransmitted_when_its_timer_expires(server: DtlsServer) -> None:
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
    server.handle_timeout()
    assert list(server.take_datagrams()) == []
    deadline = time.monotonic() + 30
    retransmitted: list[bytes] = []
    while not retransmitted and time.monotonic() < deadline:
        time.sleep(server.timeout_seconds or 0)
        server.handle_timeout()
        retransmitted = list(server.take_datagrams())
    exchange(server, client, client.step(retransmitted))
    assert server.state is DtlsState.CONNECTED


def test_handshake_datagrams_stay_within_the_size_limit(server: DtlsServer) -> None:
    client = DtlsClient()
    flight = client.step([])
    while flight:
        for datagram in flight:
            server.receive(datagram)
        answer = list(server.take_datagrams())
        assert all(len(datagram) <= DATAGRAM_SIZE_BYTES for datagram in answer)
        flight = client.step(answer)
    assert server.state is DtlsState.CONNECTED


def test_a_close_notify_of_the_peer_closes_the_association(server: DtlsServer) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    client.connection.shutdown()
    for datagram in client.take_datagrams():
        server.receive(datagram)
    assert server.state is DtlsState.CLOSED


def test_closing_sends_close_notify(server: DtlsServer) -> None:
    client = DtlsClient()
    complete_handshake(server, client)
    server.close()
    for datagram in server.take_datagrams():
        client.connection.bio_write(datagram)
    with pytest.raises(SSL.ZeroReturnError):
        client.connection.recv(100)


def test_bad_records_after_the_handshake_are_ignored(server: DtlsServer) -> None:
    complete_handshake(server, DtlsClient())
    server.receive(b"\x17\xfe\xfd\0\1\0\0\0\0\0\x50\0\x20" + bytes(32))
    server.receive(b"\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\2\2\x28")
    assert server.state is DtlsState.CONNECTED


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=4))
def test_arbitrary_bytes_raise_nothing(noise: list[bytes]) -> None:
    server = DtlsServer(_NOISE_CONTEXT)
    for datagram in noise:
        server.receive(b"\x16\xfe\xfd" + datagram)
        server.receive(datagram)
        list(server.take_datagrams())


_NOISE_CONTEXT = dtls_context(make_certificate(NOW))
