"""The certificate of RTMPS: one made here that a client can trust, and the check of one that was configured."""

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
    check_pair,
    is_still_good,
    new_certificate_key,
    self_made_certificate,
)

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTS = (*LOCAL_HOSTS, "ingest.example.com")
KEY = new_certificate_key()
CERTIFICATE = self_made_certificate(KEY, hosts=HOSTS, now=NOW)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    certificate, private_key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(CERTIFICATE)
    private_key.write_bytes(KEY)
    return certificate, private_key


def shake_hands(files: tuple[Path, Path], *, host: str) -> None:
    """Do a TLS handshake as `host`, over a socket pair, with a client that trusts this certificate and checks names."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files)
    client = ssl.create_default_context(cafile=files[0])
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    theirs.settimeout(20)

    def serve() -> None:
        with theirs:
            try:
                server.wrap_socket(theirs, server_side=True).close()
            except ssl.SSLError:
                return  # the client refused: it says so itself

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours:
            client.wrap_socket(ours, server_hostname=host).close()
    finally:
        thread.join()


@pytest.mark.parametrize("host", HOSTS)
def test_a_client_that_trusts_it_accepts_every_host_it_was_made_for(files: tuple[Path, Path], host: str) -> None:
    shake_hands(files, host=host)


def test_it_stands_for_no_other_host(files: tuple[Path, Path]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(files, host="other.example.com")


def test_it_cannot_sign_others() -> None:
    made = x509.load_pem_x509_certificate(CERTIFICATE)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_it_is_valid_for_years_and_already_for_a_clock_that_is_behind() -> None:
    made = x509.load_pem_x509_certificate(CERTIFICATE)
    assert made.not_valid_before_utc < NOW - timedelta(hours=23)
    assert made.not_valid_after_utc == NOW + VALIDITY


def test_a_host_with_letters_of_its_language_is_named_as_dns_does() -> None:
    made = x509.load_pem_x509_certificate(self_made_certificate(KEY, hosts=["bühne.example"], now=NOW))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["xn--bhne-0ra.example"]


def test_it_is_good_until_it_comes_near_its_end() -> None:
    for now, expected in ((NOW, True), (NOW + VALIDITY - RENEWAL, False)):
        assert is_still_good(CERTIFICATE, KEY, hosts=HOSTS, now=now) is expected


def test_it_is_good_for_fewer_hosts_but_not_for_another() -> None:
    assert is_still_good(CERTIFICATE, KEY, hosts=LOCAL_HOSTS, now=NOW)
    assert not is_still_good(CERTIFICATE, KEY, hosts=("other.example.com",), now=NOW)


def test_it_is_good_for_its_own_key_alone() -> None:
    assert not is_still_good(CERTIFICATE, new_certificate_key(), hosts=HOSTS, now=NOW)


@pytest.mark.parametrize("damaged", [b"", CERTIFICATE[:200], KEY])
def test_what_is_no_certificate_is_not_good(damaged: bytes) -> None:
    assert not is_still_good(damaged, KEY, hosts=HOSTS, now=NOW)


def test_a_pair_that_fits_is_accepted_with_its_end(files: tuple[Path, Path]) -> None:
    assert check_pair(*files) == NOW + VALIDITY


def rewritten(key_pem: bytes, *, password: bytes) -> bytes:
    key = load_pem_private_key(key_pem, password=None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "holds no PEM private key"),
        (CERTIFICATE, "holds no PEM private key"),
        (rewritten(KEY, password=b"secret"), "is encrypted"),
        (new_certificate_key(), "is not the key of"),
    ],
)
def test_a_private_key_that_cannot_be_used_is_refused(files: tuple[Path, Path], content: bytes, rule: str) -> None:
    files[1].write_bytes(content)
    with pytest.raises(ConfigError, match=f"setting rtmps_private_key: .*key.pem {rule}"):
        check_pair(*files)


@pytest.mark.parametrize("content", [b"", KEY, CERTIFICATE[:200]])
def test_a_file_without_certificate_is_refused(files: tuple[Path, Path], content: bytes) -> None:
    files[0].write_bytes(content)
    with pytest.raises(ConfigError, match=r"setting rtmps_certificate: .*certificate\.pem holds no PEM certificate"):
        check_pair(*files)


@pytest.mark.parametrize(("missing", "setting"), [(0, "rtmps_certificate"), (1, "rtmps_private_key")])
def test_a_file_that_is_not_there_is_refused(files: tuple[Path, Path], missing: int, setting: str) -> None:
    files[missing].unlink()
    with pytest.raises(ConfigError, match=f"setting {setting}: .* cannot be read: No such file"):
        check_pair(*files)


def test_a_key_too_weak_for_tls_is_refused(files: tuple[Path, Path]) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)  # noqa: S505 - that is the point
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + VALIDITY)
    files[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match=r"setting rtmps_certificate: .* is of no use: EE_KEY_TOO_SMALL"):
        check_pair(*files)
