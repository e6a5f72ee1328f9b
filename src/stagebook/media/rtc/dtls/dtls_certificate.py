"""The engine's DTLS certificate and the OpenSSL context that all of its handshakes share.

WebRTC uses no certificate authority. Each side makes a self-signed certificate, writes the certificate's hash into its
session description (`a=fingerprint`, RFC 8122) and compares the hash of the certificate that it gets in the handshake
with the hash that the other side described. So the authenticity of the connection is that of the signalling channel.

One certificate serves all connections of an engine. It is made at start and never stored.
"""

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
"""A peer whose clock is slow by less than this accepts a new certificate."""
_DTLS_1_2 = 0xFEFD
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:"
    # As the server our certificate decides, so these are for a passive peer with an RSA certificate.
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"
)

HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}
"""The hash functions by which a peer may be verified: those of RFC 8122 section 5 except SHA-1, SHA-224 and MD5."""


class DtlsCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A private key and its self-signed certificate."""

    key: ec.EllipticCurvePrivateKey
    x509: x509.Certificate

    @property
    def fingerprint(self) -> Fingerprint:
        """The certificate's SHA-256 hash, for `a=fingerprint`."""
        return fingerprint_of(self.x509, "sha-256")


def make_certificate(now: datetime, curve: ec.EllipticCurve | None = None) -> DtlsCertificate:
    """Return a new key, by default on P-256 (RFC 8827 section 6.5), and its certificate.

    The certificate is valid from one day before `now` until one year after it.
    """
    key = ec.generate_private_key(curve or ec.SECP256R1())
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
    """Return a certificate's hash (RFC 8122 section 5). Raises KeyError if `algorithm` is not in HASHES."""
    return Fingerprint(algorithm=algorithm, digest=certificate.fingerprint(HASHES[algorithm]()))


def dtls_context(certificate: DtlsCertificate) -> SSL.Context:
    """Return the OpenSSL context for the handshakes of an engine.

    It requires DTLS 1.2 and a certificate of the peer, and offers the SRTP profiles in our order of preference (RFC
    5764 section 4.1). The cipher suites are those of RFC 8827 section 6.5 and their AEAD alternatives.
    """
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS_1_2)
    # DTLS 1.3 has other record headers, which `dtls_records` does not read.
    context.set_max_proto_version(_DTLS_1_2)
    # A connection is never resumed, so it needs no tickets. The MTU is set by the caller: a memory BIO has no path of
    # which OpenSSL could query it.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Accept every certificate here: a WebRTC peer's is self-signed. DtlsAssociation.verify_fingerprint checks it later.
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate(certificate.x509)
    context.use_privatekey(certificate.key)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(b":".join(profile.name for profile in PROFILES))
    return context
