"""The passive DTLS association against OpenSSL's own client, datagram by datagram."""

import contextlib
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from stagebook.media.rtc.dtls.dtls_certificate import (
    DtlsCertificate,
    dtls_context,
    fingerprint_of,
    make_certificate,
)
from stagebook.media.rtc.dtls.dtls_server import DATAGRAM_SIZE_BYTES, DtlsServer, DtlsState
from stagebook.media.rtc.sdp.session_description import Fingerprint
from stagebook.media.rtc.srtp.srtp_session import AEAD_AES_128_GCM, AES128_CM_SHA1_80

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Client:
    """The active side."""

    def __init__(self, *, srtp_profiles: bytes | None = None, certificate: DtlsCertificate | None = None) -> None:
        self.certificate = certificate or make_certificate(NOW)
        context = dtls_context(self.certificate)
        if srtp_profiles is not None:
            context.set_tlsext_use_srtp(srtp_profiles)
        self.connection = SSL.Connection(context)
        self.connection.set_connect_state()
        self.connection.set_ciphertext_mtu(1200)

    def step(self, datagrams: list[bytes]) -> list[bytes]:
        """Take datagrams, go on with the handshake, and return what is to be sent."""
        for datagram in datagrams:
            self.connection.bio_write(datagram)
        with contextlib.suppress(SSL.WantReadError):
            self.connection.do_handshake()
        return self.sent()

    def sent(self) -> list[bytes]:
        """What is to be sent."""
        datagrams = []
        while True:
            try:
                datagrams.append(self.connection.bio_read(1500))
            except SSL.Error:
                return datagrams


def shake_hands(server: DtlsServer, client: Client) -> None:
    """Carry datagrams to and fro until nobody has anything to say."""
    carry(server, client, client.step([]))


def carry(server: DtlsServer, client: Client, flight: list[bytes]) -> None:
    """The same from a flight of the client on."""
    while flight:
        for datagram in flight:
            server.receive(datagram)
        flight = client.step(list(server.take_datagrams()))


@pytest.fixture(name="server")
def server_fixture() -> DtlsServer:
    return DtlsServer(dtls_context(make_certificate(NOW)))


def test_a_handshake_gives_both_sides_the_same_keys(server: DtlsServer) -> None:
    client = Client()
    shake_hands(server, client)
    keys = server.srtp_keys()
    assert keys is not None
    assert keys.profile is AEAD_AES_128_GCM
    material = client.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
    assert keys.client == material[:16] + material[32:44]
    assert keys.server == material[16:32] + material[44:]


def test_a_client_that_knows_only_the_older_profile_gets_it(server: DtlsServer) -> None:
    shake_hands(server, Client(srtp_profiles=AES128_CM_SHA1_80.name))
    keys = server.srtp_keys()
    assert keys is not None
    assert keys.profile is AES128_CM_SHA1_80


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_the_peer_is_proved_by_any_promised_hash(server: DtlsServer, algorithm: str) -> None:
    client = Client()
    shake_hands(server, client)
    promised = fingerprint_of(client.certificate.x509, algorithm)
    other = Fingerprint(algorithm=algorithm, digest=bytes(len(promised.digest)))
    assert server.verify_fingerprint([other, promised])
    assert not server.verify_fingerprint([other])
    assert not server.verify_fingerprint([])
    assert not server.verify_fingerprint([Fingerprint(algorithm="sha-1", digest=promised.digest)])


def test_nobody_is_the_peer_before_the_handshake(server: DtlsServer) -> None:
    assert not server.verify_fingerprint([])


def test_a_lost_flight_is_sent_again_when_its_time_has_come(server: DtlsServer) -> None:
    before = server.timeout_seconds
    assert before is None
    client = Client()
    for datagram in client.step([]):
        server.receive(datagram)
    lost = list(server.take_datagrams())
    assert lost
    waiting = server.timeout_seconds
    assert waiting is not None
    assert 0 < waiting <= 1
    # OpenSSL reads its own clock: before its time nothing is sent, and the time cannot be passed in.
    server.handle_timeout()
    assert list(server.take_datagrams()) == []
    deadline = time.monotonic() + 30
    again: list[bytes] = []
    while not again and time.monotonic() < deadline:
        time.sleep(server.timeout_seconds or 0)
        server.handle_timeout()
        again = list(server.take_datagrams())
    carry(server, client, client.step(again))
    assert server.state is DtlsState.CONNECTED


def test_no_datagram_of_the_handshake_is_too_large_for_the_path(server: DtlsServer) -> None:
    client = Client()
    flight = client.step([])
    while flight:
        for datagram in flight:
            server.receive(datagram)
        answer = list(server.take_datagrams())
        assert all(len(datagram) <= DATAGRAM_SIZE_BYTES for datagram in answer)
        flight = client.step(answer)
    assert server.state is DtlsState.CONNECTED


def test_close_notify_closes(server: DtlsServer) -> None:
    client = Client()
    shake_hands(server, client)
    client.connection.shutdown()
    for datagram in client.sent():
        server.receive(datagram)
    assert server.state is DtlsState.CLOSED


def test_closing_says_close_notify(server: DtlsServer) -> None:
    client = Client()
    shake_hands(server, client)
    server.close()
    for datagram in server.take_datagrams():
        client.connection.bio_write(datagram)
    with pytest.raises(SSL.ZeroReturnError):
        client.connection.recv(100)


def test_noise_after_the_handshake_is_no_end(server: DtlsServer) -> None:
    shake_hands(server, Client())
    server.receive(b"\x17\xfe\xfd\0\1\0\0\0\0\0\x50\0\x20" + bytes(32))
    server.receive(b"\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\2\2\x28")
    assert server.state is DtlsState.CONNECTED


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=120), max_size=4))
def test_any_bytes_are_taken_without_an_exception(noise: list[bytes]) -> None:
    server = DtlsServer(_NOISE_CONTEXT)
    for datagram in noise:
        server.receive(b"\x16\xfe\xfd" + datagram)
        server.receive(datagram)
        list(server.take_datagrams())


_NOISE_CONTEXT = dtls_context(make_certificate(NOW))
