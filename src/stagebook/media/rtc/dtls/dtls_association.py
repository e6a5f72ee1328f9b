"""One DTLS association (RFC 6347), which authenticates the peer and makes the keys of SRTP (RFC 5764).

DTLS is TLS over datagrams. It carries no application data here. Its handshake does three things: it authenticates the
peer by the fingerprint of its certificate, it selects an SRTP protection profile (the use_srtp extension, RFC 5764
section 4.1), and it makes a secret from which both sides export the SRTP keys (section 4.2). Later records are alerts,
of which close_notify matters: it ends the connection at once.

Which side begins is negotiated by a=setup (RFC 8842 section 5.3). The peer is the client, except if its offer says that
it is `passive`: then this side is. The flights of a full handshake are:

    client                            server
    ClientHello             ------->
                            <-------  ServerHello, Certificate, ServerKeyExchange, CertificateRequest, ServerHelloDone
    Certificate, ClientKeyExchange, CertificateVerify, ChangeCipherSpec, Finished  ------->
                            <-------  ChangeCipherSpec, Finished

As the server, this side sends no HelloVerifyRequest (RFC 6347 section 4.2.1). Its purpose is to prove the client's
address before the server spends effort on it, and a verified ICE check has proved it already.

States:

    HANDSHAKING --(Finished exchanged)--> CONNECTED --(close_notify or fatal alert, either side)--> CLOSED
         `------(alert, too many timeouts)--> FAILED

OpenSSL sends a lost flight again when a timer of 1, 2, 4... seconds expires. As the server, this side also does so when
the client repeats its ClientHello (RFC 6347 section 4.2.4), which OpenSSL ignores: browsers repeat theirs after two or
three round trips.

The class is sans-I/O: it takes datagrams, returns datagrams and names a timeout. OpenSSL works on memory BIOs and does
the retransmissions; it reads the system clock by itself. A memory BIO grows with what is written to it, so each
datagram is read to its end at once, and `dtls_records` keeps out what OpenSSL would only store.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from OpenSSL import SSL

from stagebook.media.rtc.dtls.client_hello import is_client_hello, offers_encrypt_then_mac, starts_client_hello
from stagebook.media.rtc.dtls.dtls_certificate import HASHES, fingerprint_of
from stagebook.media.rtc.dtls.dtls_records import MAX_RECORDS, RecordFilter, pack_records
from stagebook.media.rtc.dtls.fatal_alert import fatal_alert
from stagebook.media.rtc.sdp.session_description import Fingerprint
from stagebook.media.rtc.srtp.srtp_session import PROFILES, SrtpKeys, keying_material_size_bytes

DATAGRAM_SIZE_BYTES = 1200
"""The maximum size of a handshake datagram. It fits the path MTU of every network that carries WebRTC media."""
MAX_REPEATED_FLIGHTS = 8
"""How often the first flight is sent again for repeated ClientHellos. Clients double the time between them."""
_EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
"""RFC 5764 section 4.2."""
_READ_SIZE_BYTES = 16_384
_EXPLANATIONS = {
    "wrong curve": "the key of the peer's certificate is on an unsupported curve: P-256, P-384 or P-521 is needed",
    "unsupported protocol": "the peer does not support DTLS 1.2",
    "no shared cipher": "the peer has no cipher suite in common: ECDHE with AES-GCM, ChaCha20-Poly1305 or AES-CBC",
    "peer did not return a certificate": "the peer sent no certificate",
}
"""What OpenSSL's reasons mean for the operator of a client."""


class DtlsState(StrEnum):
    """The state of an association. FAILED and CLOSED are final."""

    HANDSHAKING = "handshaking"
    CONNECTED = "connected"
    FAILED = "failed"
    CLOSED = "closed"
    """One side sent close_notify or a fatal alert."""


class DtlsAssociation:
    """The DTLS association with one peer.

    After each `start`, `receive` and `handle_timeout`, the caller sends the datagrams of `take_datagrams`, looks at
    `state` and reads `timeout_seconds` again.
    """

    def __init__(self, context: SSL.Context, *, is_client: bool = False) -> None:
        """`is_client`: this side begins the handshake, with `start`."""
        self._connection = SSL.Connection(context)
        self._connection.set_ciphertext_mtu(DATAGRAM_SIZE_BYTES)
        if is_client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()
        self.is_client = is_client
        self.state = DtlsState.HANDSHAKING
        self.failure = ""
        """Why the handshake failed. "" unless FAILED."""
        self._filter = RecordFilter()
        self._alert: bytes | None = None
        """A fatal alert to send before what OpenSSL has to send."""
        self._heeds_alerts = not is_client
        """Whether the peer may be a browser, which is a DTLS client and has no encrypt-then-MAC. Among the others are
        peers that ignore fatal alerts (aiortc), and then close_notify too, because the association has ended."""
        self._first_flight: list[bytes] = []
        """The datagrams of the server's first flight, as long as the client has not answered it."""
        self._repeats_left = MAX_REPEATED_FLIGHTS
        self._is_repeating = False
        """Whether the first flight is to be sent again."""
        self.has_started = False
        """Whether `start` has begun the handshake."""

    def start(self) -> None:
        """Begin the handshake as the client. The server, and a second call, do nothing."""
        if self.is_client and not self.has_started:
            self.has_started = True
            self._read()

    def receive(self, datagram: bytes) -> None:
        """Take one datagram of the peer. Never raises; `state` shows the result.

        The state may pass several stages at once: a datagram that completes the handshake may also have close_notify.
        """
        if self.state in (DtlsState.FAILED, DtlsState.CLOSED):
            return
        records = self._filter.select(datagram, handshaking=self.state is DtlsState.HANDSHAKING)
        if records:
            if self.state is DtlsState.HANDSHAKING:
                self._look_at(records)
            self._connection.bio_write(records)
            self._read()

    def _look_at(self, records: bytes) -> None:
        """Take from the records of a handshake what OpenSSL does not tell."""
        if offers_encrypt_then_mac(records):
            self._heeds_alerts = False
        if not is_client_hello(records):
            self._first_flight = []
        elif starts_client_hello(records) and self._first_flight and self._repeats_left:
            self._repeats_left -= 1
            self._is_repeating = True

    def _read(self) -> None:
        """Let OpenSSL read until nothing is left, and follow the state.

        Each call of OpenSSL reads at least one record, so the number of calls is that of the records and one more,
        which finds nothing.
        """
        for _ in range(MAX_RECORDS + 2):
            try:
                if self.state is DtlsState.HANDSHAKING:
                    self._connection.do_handshake()
                    self.state = DtlsState.CONNECTED
                else:
                    # Only alerts are expected. If the peer retransmits its last flight, OpenSSL retransmits ours.
                    self._connection.recv(DATAGRAM_SIZE_BYTES)
            except SSL.ZeroReturnError:
                self.state = DtlsState.CLOSED
            except SSL.WantReadError:
                return
            except SSL.Error as error:
                self._take_error(error)
            if self.state in (DtlsState.FAILED, DtlsState.CLOSED):
                return

    def _take_error(self, error: SSL.Error) -> None:
        if self.state is DtlsState.HANDSHAKING:
            self.state = DtlsState.FAILED
            self.failure = _reason(error)
        elif self._connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
            # A fatal alert, which is authenticated, ends the association like close_notify (RFC 5246 section 7.2).
            # Any other bad record is ignored, because anybody can forge one (RFC 6347 section 4.1.2.7).
            self.state = DtlsState.CLOSED

    def take_datagrams(self) -> Iterator[bytes]:
        """Yield the datagrams to send now, in order, each of at most DATAGRAM_SIZE_BYTES.

        OpenSSL hands out a flight as one stream of records. It is emptied here in any case, also if the caller has no
        address to send to: a lost flight is retransmitted when its timer expires.
        """
        if self._alert is not None:
            yield self._alert
            self._alert = None
        pending = bytearray()
        while True:
            try:
                pending += self._connection.bio_read(_READ_SIZE_BYTES)
            except SSL.Error:
                break
        datagrams = list(pack_records(bytes(pending), DATAGRAM_SIZE_BYTES))
        if self._is_repeating:
            yield from self._first_flight
            self._is_repeating = False
        elif datagrams and self.state is DtlsState.HANDSHAKING and not self.is_client:
            self._first_flight = datagrams
        yield from datagrams

    @property
    def timeout_seconds(self) -> float | None:
        """Seconds until `handle_timeout` is due. None if no timer runs."""
        if self.state is not DtlsState.HANDSHAKING:
            return None
        return self._connection.DTLSv1_get_timeout()

    def handle_timeout(self) -> None:
        """Retransmit the last flight if its timer has expired (RFC 6347 section 4.2.4). After too many
        retransmissions the state becomes FAILED."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self.state = DtlsState.FAILED
            self.failure = _reason(error)

    def verify_fingerprint(self, fingerprints: Sequence[Fingerprint]) -> bool:
        """Return whether the peer's certificate has one of the fingerprints of its session description.

        One match is enough (RFC 8122 section 5). Fingerprints with an algorithm outside HASHES are ignored. The result
        is False before the peer has sent its certificate.
        """
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return False
        return any(
            fingerprint_of(certificate, expected.algorithm) == expected
            for expected in fingerprints
            if expected.algorithm in HASHES
        )

    def srtp_keys(self) -> SrtpKeys | None:
        """Return the SRTP keys of a CONNECTED association (RFC 5764 section 4.2). None if no profile was selected.

        They must not be used before `verify_fingerprint` is True: until then the peer may be anybody.
        """
        name = self._connection.get_selected_srtp_profile()
        profile = next((profile for profile in PROFILES if profile.name == name), None)
        if profile is None:
            return None
        size = keying_material_size_bytes(profile)
        return SrtpKeys.from_keying_material(profile, self._connection.export_keying_material(_EXPORTER_LABEL, size))

    def close(self, *, as_failure: bool = False) -> None:
        """Queue a close_notify alert if the association is CONNECTED; `take_datagrams` returns it.

        With `as_failure`, a peer that may be a browser is sent a fatal alert before it, which it notices sooner.
        """
        if self.state is not DtlsState.CONNECTED:
            return
        self.state = DtlsState.CLOSED
        if as_failure and self._heeds_alerts:
            self._alert = fatal_alert(self._connection)
        try:
            self._connection.shutdown()
        except SSL.Error:
            # The peer notices the end by its own consent checks.
            return


def _reason(error: SSL.Error) -> str:
    """Return the reason of an error, in OpenSSL's words where it has no explanation here. It holds nothing that the
    peer has sent, so it is fit for the log."""
    queue = error.args[0] if error.args else ()
    reasons = [str(entry[-1]) for entry in queue if entry] if isinstance(queue, list | tuple) else []
    explained = [_EXPLANATIONS.get(reason, reason) for reason in reasons]
    return "; ".join(explained) or "the connection ended"
