"""The engine's own DTLS certificate: self-signed, made at start, proved by its fingerprint in the SDP (RFC 8122)."""

from datetime import datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from stagebook.media.rtc.sdp.session_description import Fingerprint
from stagebook.media.rtc.srtp.srtp_session import PROFILES

_VALIDITY = timedelta(days=365)
_CLOCK_SKEW = timedelta(days=1)
_DTLS_1_2 = 0xFEFD
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA"
)

HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}
"""The fingerprint algorithms that we take (RFC 8122 section 5, without the broken ones)."""


class DtlsCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A key and its self-signed certificate. One serves all connections of an engine."""

    key: ec.EllipticCurvePrivateKey
    x509: x509.Certificate

    @property
    def fingerprint(self) -> Fingerprint:
        """The SHA-256 of the certificate, for `a=fingerprint`."""
        return fingerprint_of(self.x509, "sha-256")


def make_certificate(now: datetime) -> DtlsCertificate:
    """A new P-256 key (RFC 8827 section 6.5) and a certificate for it, valid from a day before `now` for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stagebook")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALIDITY)
        .sign(key, hashes.SHA256())
    )
    return DtlsCertificate(key=key, x509=certificate)


def fingerprint_of(certificate: x509.Certificate, algorithm: str) -> Fingerprint:
    """A certificate's hash by one of HASHES. Raises KeyError for another algorithm."""
    return Fingerprint(algorithm=algorithm, digest=certificate.fingerprint(HASHES[algorithm]()))


def dtls_context(certificate: DtlsCertificate) -> SSL.Context:
    """What all handshakes of an engine share: DTLS 1.2, our certificate, theirs demanded, the SRTP profiles."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS_1_2)
    # No tickets: a connection is never resumed. The path MTU is ours to say: a memory BIO cannot know it.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # A WebRTC peer's certificate is self-signed; the fingerprint in its offer proves it, after the handshake.
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate(certificate.x509)
    context.use_privatekey(certificate.key)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(b":".join(profile.name for profile in PROFILES))
    return context
