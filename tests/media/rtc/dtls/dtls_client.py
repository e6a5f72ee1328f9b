"""A DTLS client on memory BIOs, and the exchange of its datagrams with a DtlsAssociation."""

import contextlib
from datetime import UTC, datetime

from OpenSSL import SSL

from stagebook.media.rtc.dtls.dtls_association import DtlsAssociation
from stagebook.media.rtc.dtls.dtls_certificate import DtlsCertificate, dtls_context, make_certificate

SSL_OP_NO_ENCRYPT_THEN_MAC = 1 << 19
"""OpenSSL's option, which pyOpenSSL does not name."""


class DtlsClient:
    """A DTLS client."""

    def __init__(
        self,
        *,
        srtp_profiles: bytes | None = None,
        certificate: DtlsCertificate | None = None,
        cipher_list: bytes | None = None,
        is_browser: bool = False,
    ) -> None:
        """The arguments replace what a client of the engine's own context has. `is_browser`: it does not offer
        encrypt-then-MAC."""
        self.certificate = certificate or make_certificate(datetime.now(UTC))
        context = dtls_context(self.certificate)
        if srtp_profiles is not None:
            context.set_tlsext_use_srtp(srtp_profiles)
        if cipher_list is not None:
            context.set_cipher_list(cipher_list)
        if is_browser:
            context.set_options(SSL_OP_NO_ENCRYPT_THEN_MAC)
        self.connection = SSL.Connection(context)
        self.connection.set_connect_state()
        self.connection.set_ciphertext_mtu(1200)

    def step(self, datagrams: list[bytes]) -> list[bytes]:
        """Take datagrams, continue the handshake, and return the datagrams to send."""
        for datagram in datagrams:
            self.connection.bio_write(datagram)
        with contextlib.suppress(SSL.WantReadError):
            self.connection.do_handshake()
        return self.take_datagrams()

    def take_datagrams(self) -> list[bytes]:
        """Return the datagrams to send."""
        datagrams = []
        while True:
            try:
                datagrams.append(self.connection.bio_read(1500))
            except SSL.Error:
                return datagrams


def complete_handshake(server: DtlsAssociation, client: DtlsClient) -> None:
    """Complete the handshake: exchange datagrams until neither side has one to send."""
    exchange(server, client, client.step([]))


def exchange(server: DtlsAssociation, client: DtlsClient, flight: list[bytes]) -> None:
    """Continue the handshake from a flight of the client."""
    while flight:
        for datagram in flight:
            server.receive(datagram)
        flight = client.step(list(server.take_datagrams()))
