"""The RTMPS certificate: a self-signed one that a client can trust, and the check of a configured one."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from stagebook.config.rules import ConfigError
from stagebook.data_folder.rtmps_certificate import (
    LOCAL_HOSTS,
    RENEWAL,
    VALIDITY,
    check_certificate_files,
    is_certificate_usable,
    new_certificate_key,
    self_signed_certificate,
)

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTS = (*LOCAL_HOSTS, "ingest.example.com")
KEY = new_certificate_key()
CERTIFICATE = self_signed_certificate(KEY, hosts=HOSTS, now=NOW)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    certificate, private_key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(CERTIFICATE)
    private_key.write_bytes(KEY)
    return certificate, private_key


def shake_hands(files: tuple[Path, Path], *, host: str) -> None:
    """Do a TLS handshake over a socket pair. The client trusts the certificate and expects it to name `host`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files)
    client = ssl.create_default_context(cafile=files[0])
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client_socket, server_socket = socket.socketpair()
    client_socket.settimeout(20)
    server_socket.settimeout(20)

    def serve() -> None:
        with server_socket:
            try:
                server.wrap_socket(server_socket, server_side=True).close()
            except ssl.SSLError:
                return  # the client refused the certificate, and raises its own error

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client_socket:
            client.wrap_socket(client_socket, server_hostname=host).close()
    finally:
        thread.join()


@pytest.mark.parametrize("host", HOSTS)
def test_a_client_that_trusts_the_certificate_accepts_every_host_it_names(files: tuple[Path, Path], host: str) -> None:
    shake_hands(files, host=host)


def test_a_client_refuses_a_host_that_the_certificate_does_not_name(files: tuple[Path, Path]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(files, host="other.example.com")


def test_the_certificate_is_not_a_ca_certificate() -> None:
    made = x509.load_pem_x509_certificate(CERTIFICATE)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_certificate_is_valid_for_years_and_for_a_clock_that_is_behind() -> None:
    made = x509.load_pem_x509_certificate(CERTIFICATE)
    assert made.not_valid_before_utc < NOW - timedelta(hours=23)
    assert made.not_valid_after_utc == NOW + VALIDITY


def test_an_internationalized_host_name_is_encoded_as_in_dns() -> None:
    made = x509.load_pem_x509_certificate(self_signed_certificate(KEY, hosts=["bühne.example"], now=NOW))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["xn--bhne-0ra.example"]


def test_a_certificate_is_usable_until_its_renewal_is_due() -> None:
    for now, expected in ((NOW, True), (NOW + VALIDITY - RENEWAL, False)):
        assert is_certificate_usable(CERTIFICATE, KEY, hosts=HOSTS, now=now) is expected


def test_a_certificate_is_usable_for_fewer_hosts_but_not_for_another() -> None:
    assert is_certificate_usable(CERTIFICATE, KEY, hosts=LOCAL_HOSTS, now=NOW)
    assert not is_certificate_usable(CERTIFICATE, KEY, hosts=("other.example.com",), now=NOW)


def test_a_certificate_is_usable_only_with_its_own_key() -> None:
    assert not is_certificate_usable(CERTIFICATE, new_certificate_key(), hosts=HOSTS, now=NOW)


@pytest.mark.parametrize("damaged", [b"", CERTIFICATE[:200], KEY])
def test_a_damaged_certificate_is_not_usable(damaged: bytes) -> None:
    assert not is_certificate_usable(damaged, KEY, hosts=HOSTS, now=NOW)


def test_matching_certificate_files_are_accepted(files: tuple[Path, Path]) -> None:
    assert check_certificate_files(*files) == NOW + VALIDITY


def encrypted_key(key_pem: bytes, *, password: bytes) -> bytes:
    key = load_pem_private_key(key_pem, password=None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "contains no PEM private key"),
        (CERTIFICATE, "contains no PEM private key"),
        (encrypted_key(KEY, password=b"secret"), "is encrypted"),
        (new_certificate_key(), "is not the key of"),
    ],
)
def test_a_private_key_that_cannot_be_used_is_refused(files: tuple[Path, Path], content: bytes, rule: str) -> None:
    files[1].write_bytes(content)
    with pytest.raises(ConfigError, match=f"setting rtmps_private_key: .*key.pem {rule}"):
        check_certificate_files(*files)


@pytest.mark.parametrize("content", [b"", KEY, CERTIFICATE[:200]])
def test_a_file_without_certificate_is_refused(files: tuple[Path, Path], content: bytes) -> None:
    files[0].write_bytes(content)
    with pytest.raises(ConfigError, match=r"setting rtmps_certificate: .*certificate\.pem contains no PEM certificate"):
        check_certificate_files(*files)


@pytest.mark.parametrize(("missing", "setting"), [(0, "rtmps_certificate"), (1, "rtmps_private_key")])
def test_a_missing_file_is_refused(files: tuple[Path, Path], missing: int, setting: str) -> None:
    files[missing].unlink()
    with pytest.raises(ConfigError, match=f"setting {setting}: .* cannot be read: No such file"):
        check_certificate_files(*files)


def test_a_key_too_weak_for_tls_is_refused(files: tuple[Path, Path]) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)  # noqa: S505 - the test needs a weak key
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + VALIDITY)
    files[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match=r"setting rtmps_certificate: .* cannot be used for TLS: EE_KEY_TOO_SMALL"):
        check_certificate_files(*files)
