"""The certificate of RTMPS: loaded at the start, reloaded when it changes, kept while the new one is invalid."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from stagebook.media.ingest.tls_certificate import TlsCertificate
from tests.media.ingest.running_rtmp_server import unchecked_tls, write_certificate


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def presented_certificate(context: ssl.SSLContext) -> bytes:
    """Perform a TLS handshake in memory. Returns the certificate that the client receives."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = unchecked_tls().wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = client.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def make_certificate(folder: Path, clock: Clock) -> TlsCertificate:
    certificate, key = write_certificate(folder)
    return TlsCertificate(str(certificate), str(key), clock=clock)


def test_a_new_certificate_is_used_within_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    certificate = make_certificate(tmp_path, clock)
    old = presented_certificate(certificate.context())
    write_certificate(tmp_path)
    assert presented_certificate(certificate.context()) == old, "the files are not checked for each connection"
    clock.now += 61
    assert presented_certificate(certificate.context()) != old


def test_the_old_certificate_is_used_while_the_files_are_invalid(tmp_path: Path) -> None:
    clock = Clock()
    certificate = make_certificate(tmp_path, clock)
    old = presented_certificate(certificate.context())
    valid_key = (tmp_path / "key.pem").read_bytes()
    for invalid_key in (b"not a key", None):
        (tmp_path / "key.pem").write_bytes(invalid_key) if invalid_key else (tmp_path / "key.pem").unlink()
        clock.now += 61
        assert presented_certificate(certificate.context()) == old
    (tmp_path / "key.pem").write_bytes(valid_key)
    clock.now += 61
    assert presented_certificate(certificate.context()) == old


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"certificate\.pem: No such file or directory"):
        TlsCertificate(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"), clock=Clock())


def test_a_certificate_with_the_wrong_key_is_an_error(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, key = write_certificate(tmp_path / "other")
    with pytest.raises(OSError, match=r"certificate\.pem and .*key\.pem: .*mismatch"):
        TlsCertificate(str(certificate), str(key), clock=Clock())


def test_an_encrypted_key_is_an_error_without_a_password_prompt(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    private_key = load_pem_private_key(key.read_bytes(), None)
    encrypted = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    key.write_bytes(encrypted)
    with pytest.raises(OSError, match=r"key\.pem"):
        TlsCertificate(str(certificate), str(key), clock=Clock())


def test_tls_versions_before_1_2_are_disabled(tmp_path: Path) -> None:
    assert make_certificate(tmp_path, Clock()).context().minimum_version is ssl.TLSVersion.TLSv1_2
