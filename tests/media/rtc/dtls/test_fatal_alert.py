"""Fatal alerts, as OpenSSL on the peer's side reads them."""

from datetime import UTC, datetime

import pytest
from OpenSSL import SSL

from stagebook.media.rtc.dtls.dtls_association import DtlsAssociation, DtlsState
from stagebook.media.rtc.dtls.dtls_certificate import dtls_context, make_certificate
from tests.media.rtc.dtls.dtls_client import DtlsClient, complete_handshake, exchange

CONTEXT = dtls_context(make_certificate(datetime.now(UTC)))
AEAD_SUITES = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
]


def close_as_failure(association: DtlsAssociation) -> list[bytes]:
    association.close(as_failure=True)
    assert association.state is DtlsState.CLOSED
    return list(association.take_datagrams())


def browser_with(suite: str) -> DtlsClient:
    return DtlsClient(cipher_list=suite.encode(), is_browser=True)


@pytest.mark.parametrize("suite", AEAD_SUITES)
def test_a_browser_reads_a_fatal_alert(suite: str) -> None:
    server, client = DtlsAssociation(CONTEXT), browser_with(suite)
    complete_handshake(server, client)
    assert client.connection.get_cipher_name() == suite
    alert, _close_notify = close_as_failure(server)
    client.connection.bio_write(alert)
    with pytest.raises(SSL.Error, match="alert user cancelled"):
        client.connection.recv(100)


@pytest.mark.parametrize("is_browser", [False, True])
def test_other_peers_read_close_notify_alone(*, is_browser: bool) -> None:
    server, client = DtlsAssociation(CONTEXT), DtlsClient(is_browser=is_browser)
    complete_handshake(server, client)
    if is_browser:
        server.close()
        (close_notify,) = server.take_datagrams()
    else:
        (close_notify,) = close_as_failure(server)
    client.connection.bio_write(close_notify)
    with pytest.raises(SSL.ZeroReturnError):
        client.connection.recv(100)


def test_a_server_reads_close_notify_alone() -> None:
    association, peer = DtlsAssociation(CONTEXT, is_client=True), DtlsClient()
    peer.connection.set_accept_state()
    association.start()
    exchange(association, peer, peer.step(list(association.take_datagrams())))
    (close_notify,) = close_as_failure(association)
    peer.connection.bio_write(close_notify)
    with pytest.raises(SSL.ZeroReturnError):
        peer.connection.recv(100)


def test_a_suite_without_aead_has_close_notify_alone() -> None:
    server, client = DtlsAssociation(CONTEXT), browser_with("ECDHE-ECDSA-AES128-SHA")
    complete_handshake(server, client)
    (close_notify,) = close_as_failure(server)
    client.connection.bio_write(close_notify)
    with pytest.raises(SSL.ZeroReturnError):
        client.connection.recv(100)


def test_a_forged_alert_is_no_alert() -> None:
    server, client = DtlsAssociation(CONTEXT), browser_with(AEAD_SUITES[0])
    complete_handshake(server, client)
    alert = bytearray(close_as_failure(server)[0])
    alert[-1] ^= 1
    client.connection.bio_write(bytes(alert))
    with pytest.raises(SSL.WantReadError):
        client.connection.recv(100)
