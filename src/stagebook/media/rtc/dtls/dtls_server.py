"""The passive side of one DTLS association (RFC 6347, RFC 5764). Sans-I/O: datagrams in and out, a timeout to keep.

Knows certificates and keys; no socket, no clock, no SDP.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from OpenSSL import SSL

from stagebook.media.rtc.dtls.dtls_certificate import HASHES, fingerprint_of
from stagebook.media.rtc.sdp.session_description import Fingerprint
from stagebook.media.rtc.srtp.srtp_session import PROFILES, SrtpKeys, keying_material_size_bytes

DATAGRAM_SIZE_BYTES = 1200
"""The most that we put into one datagram of the handshake: passes every path that carries WebRTC."""
_RECORD_HEADER_SIZE_BYTES = 13
_EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"


class DtlsState(StrEnum):
    """Where a handshake stands. FAILED and CLOSED are final."""

    HANDSHAKING = "handshaking"
    CONNECTED = "connected"
    FAILED = "failed"
    CLOSED = "closed"
    """The peer said close_notify."""


class DtlsServer:
    """One peer's DTLS association. After each call, send what `take_datagrams` gives and keep `timeout_seconds`."""

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context)
        self._connection.set_ciphertext_mtu(DATAGRAM_SIZE_BYTES)
        self._connection.set_accept_state()
        self.state = DtlsState.HANDSHAKING

    def receive(self, datagram: bytes) -> None:
        """Take one datagram (RFC 7983: first byte 20..63). Never raises; look at `state` afterwards."""
        if self.state in (DtlsState.FAILED, DtlsState.CLOSED) or not datagram:
            return
        self._connection.bio_write(datagram)
        try:
            if self.state is DtlsState.HANDSHAKING:
                self._connection.do_handshake()
                self.state = DtlsState.CONNECTED
            else:
                # Nothing is expected but alerts; a peer that repeats its last flight is answered by OpenSSL itself.
                self._connection.recv(DATAGRAM_SIZE_BYTES)
        except SSL.ZeroReturnError:
            self.state = DtlsState.CLOSED
        except SSL.WantReadError:
            pass
        except SSL.Error:
            # Once connected, a bad record is noise: the association stands until close_notify or the loss of consent.
            if self.state is DtlsState.HANDSHAKING:
                self.state = DtlsState.FAILED

    def take_datagrams(self) -> Iterator[bytes]:
        """What is to be sent now, in order."""
        pending = bytearray()
        while True:
            try:
                pending += self._connection.bio_read(16384)
            except SSL.Error:
                break
        yield from _pack_records(bytes(pending))

    @property
    def timeout_seconds(self) -> float | None:
        """In how many seconds `handle_timeout` wants to be called; None for never."""
        if self.state is not DtlsState.HANDSHAKING:
            return None
        return self._connection.DTLSv1_get_timeout()

    def handle_timeout(self) -> None:
        """Repeat the last flight if it is time (RFC 6347 section 4.2.4); fails after too many."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error:
            self.state = DtlsState.FAILED

    def verify_fingerprint(self, fingerprints: Sequence[Fingerprint]) -> bool:
        """Whether the peer's certificate has one of the hashes that its offer promised (RFC 8122 section 5)."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return False
        return any(
            fingerprint_of(certificate, promised.algorithm) == promised
            for promised in fingerprints
            if promised.algorithm in HASHES
        )

    def srtp_keys(self) -> SrtpKeys | None:
        """The keys of a connected association; None if no SRTP profile was agreed."""
        name = self._connection.get_selected_srtp_profile()
        profile = next((profile for profile in PROFILES if profile.name == name), None)
        if profile is None:
            return None
        size = keying_material_size_bytes(profile)
        return SrtpKeys.from_keying_material(profile, self._connection.export_keying_material(_EXPORTER_LABEL, size))

    def close(self) -> None:
        """Say close_notify, as far as the handshake allows it."""
        if self.state is not DtlsState.CONNECTED:
            return
        self.state = DtlsState.CLOSED
        try:
            self._connection.shutdown()
        except SSL.Error:
            # Nothing to save: the peer will notice by its own consent checks.
            return


def _pack_records(stream: bytes) -> Iterator[bytes]:
    """Fill datagrams with the whole DTLS records of a memory BIO's stream: a record must not be split."""
    start = position = 0
    while position + _RECORD_HEADER_SIZE_BYTES <= len(stream):
        length = int.from_bytes(stream[position + 11 : position + 13], "big")
        end = position + _RECORD_HEADER_SIZE_BYTES + length
        if end - start > DATAGRAM_SIZE_BYTES and position > start:
            yield stream[start:position]
            start = position
        position = end
    if start < len(stream):
        yield stream[start:]
