"""The TLS certificate of RTMPS: the generation of a self-signed one, and the check of a configured one.

A self-signed certificate names every host by which encoders may reach the server (subject alternative names, RFC 5280
section 4.2.1.6). An encoder that checks certificates must be configured to trust it.
"""

import ipaddress
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stagebook.config.rules import ConfigError, is_ip

VALIDITY: Final = timedelta(days=3_650)
RENEWAL: Final = timedelta(days=365)
"""A certificate that ends in less than this time is renewed at a start of the server. Long, as restarts may be rare."""
CLOCK_SKEW: Final = timedelta(days=1)
"""How far an encoder's clock may be behind: a certificate is valid from this long before its creation."""
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


def new_certificate_key() -> bytes:
    """Return a new P-256 private key as PEM (PKCS #8, not encrypted)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def self_signed_certificate(key_pem: bytes, *, hosts: Sequence[str], now: datetime) -> bytes:
    """Return a self-signed certificate for these DNS names and IP addresses, as PEM.

    It is not a CA certificate (RFC 5280 section 4.2.1.9), so a client that trusts it trusts no other certificate by it.
    Raises ValueError if `key_pem` is not an elliptic curve private key.
    """
    key = _private_key(key_pem)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stagebook self-signed")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName(_general_names(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def is_certificate_usable(certificate_pem: bytes, key_pem: bytes, *, hosts: Sequence[str], now: datetime) -> bool:
    """Return whether a self-signed certificate has this key, names all these hosts and is not due for renewal.

    A certificate with more names than `hosts` is kept: encoders may trust it by its fingerprint, which a new one would
    change. Raises ValueError if `key_pem` is not an elliptic curve private key.
    """
    key = _private_key(key_pem)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return (
        certificate.public_key() == key.public_key()
        and set(_general_names(hosts)) <= set(names)
        and certificate.not_valid_after_utc - now > RENEWAL
    )


def check_certificate_files(certificate: Path, private_key: Path) -> datetime:
    """Check the files of a configured certificate chain and its private key; return the end of its validity.

    Raises ConfigError if a file cannot be read, is not PEM, if the key is encrypted or belongs to another certificate,
    or if OpenSSL rejects the pair.
    """
    try:
        chain = x509.load_pem_x509_certificates(_read(certificate, setting="rtmps_certificate"))
    except ValueError as error:
        raise ConfigError(name="rtmps_certificate", rule=f"{certificate} contains no PEM certificate") from error
    try:
        key = load_pem_private_key(_read(private_key, setting="rtmps_private_key"), password=None)
    except TypeError as error:
        raise ConfigError(name="rtmps_private_key", rule=f"{private_key} is encrypted: store it unencrypted") from error
    except ValueError as error:
        raise ConfigError(name="rtmps_private_key", rule=f"{private_key} contains no PEM private key") from error
    if chain[0].public_key() != key.public_key():
        raise ConfigError(name="rtmps_private_key", rule=f"{private_key} is not the key of {certificate}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, private_key)
    except ssl.SSLError as error:
        raise ConfigError(
            name="rtmps_certificate", rule=f"{certificate} cannot be used for TLS: {error.reason}"
        ) from error
    return chain[0].not_valid_after_utc


def _read(path: Path, *, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(name=setting, rule=f"{path} cannot be read: {error.strerror}") from error


def _private_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve private key")
    return key


def _general_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(host) for host in dict.fromkeys(hosts)]


def _general_name(host: str) -> x509.GeneralName:
    if is_ip(host):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host if host.isascii() else host.encode("idna").decode("ascii"))
