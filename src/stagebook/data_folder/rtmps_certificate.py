"""The certificate of RTMPS: one made here when none is configured, and the check of one that is.

Must not know where files lie (`keys`) nor who serves TLS with them.
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
"""A certificate is made anew when less is left of it: time enough for a server that is seldom started again."""
CLOCK_SKEW: Final = timedelta(days=1)
"""How far an encoder's clock may be behind when it meets a new certificate."""
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")


def new_certificate_key() -> bytes:
    """Return a new P-256 private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def self_made_certificate(key_pem: bytes, *, hosts: Sequence[str], now: datetime) -> bytes:
    """Return a certificate for these hosts as PEM, signed by its own key. Raises ValueError for a key that is none.

    It is no authority (RFC 5280 section 4.2.1.9): whoever trusts it trusts this server alone.
    """
    key = _private_key(key_pem)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stagebook, self-made")])
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


def is_still_good(certificate_pem: bytes, key_pem: bytes, *, hosts: Sequence[str], now: datetime) -> bool:
    """Return whether a self-made certificate is of this key, names all these hosts and has not come near its end.

    Raises ValueError for a key that is none.
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


def check_pair(certificate: Path, private_key: Path) -> datetime:
    """Return when a configured certificate ends. Raises ConfigError when TLS cannot be served with these files."""
    try:
        chain = x509.load_pem_x509_certificates(_read(certificate, setting="rtmps_certificate"))
    except ValueError as error:
        raise ConfigError(name="rtmps_certificate", rule=f"{certificate} holds no PEM certificate") from error
    try:
        key = load_pem_private_key(_read(private_key, setting="rtmps_private_key"), password=None)
    except TypeError as error:
        raise ConfigError(name="rtmps_private_key", rule=f"{private_key} is encrypted: give it without") from error
    except ValueError as error:
        raise ConfigError(name="rtmps_private_key", rule=f"{private_key} holds no PEM private key") from error
    if chain[0].public_key() != key.public_key():
        raise ConfigError(name="rtmps_private_key", rule=f"{private_key} is not the key of {certificate}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, private_key)
    except ssl.SSLError as error:
        raise ConfigError(name="rtmps_certificate", rule=f"{certificate} is of no use: {error.reason}") from error
    return chain[0].not_valid_after_utc


def _read(path: Path, *, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(name=setting, rule=f"{path} cannot be read: {error.strerror}") from error


def _private_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a key of an elliptic curve")
    return key


def _general_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(host) for host in dict.fromkeys(hosts)]


def _general_name(host: str) -> x509.GeneralName:
    if is_ip(host):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host if host.isascii() else host.encode("idna").decode("ascii"))
