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
from msgspec.structs import replace
from structlog.testing import capture_logs

from stagebook.media.ingest.tls_certificate import MAX_PEM_BYTES, CertificateFiles, CertificatePair, tls_context
from tests.media.ingest.running_rtmp_server import unchecked_tls, write_certificate


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


def make_certificate(folder: Path) -> CertificateFiles:
    return CertificateFiles(*write_certificate(folder))


def presented_by(pair: CertificatePair | None) -> bytes:
    assert pair is not None
    return presented_certificate(tls_context(pair))


def test_a_pair_is_used_and_does_not_show_its_key(tmp_path: Path) -> None:
    pair = make_certificate(tmp_path).pair()
    assert presented_by(pair)
    assert "PRIVATE" not in repr(pair)


def test_a_context_needs_no_right_to_write_files_and_leaves_no_descriptor_open(tmp_path: Path) -> None:
    pair = make_certificate(tmp_path).pair()
    before = len(list(Path("/proc/self/fd").iterdir()))
    tls_context(pair)
    with pytest.raises(OSError, match="cannot be used"):
        tls_context(CertificatePair(chain_pem=b"not PEM", private_key_pem=pair.private_key_pem))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before  # the garbage collector may close others


def test_a_certificate_of_the_maximum_size_is_read_and_a_larger_one_is_an_error(tmp_path: Path) -> None:
    pair = make_certificate(tmp_path).pair()
    largest = replace(pair, chain_pem=pair.chain_pem.ljust(MAX_PEM_BYTES, b"\n"))
    assert presented_by(largest) == presented_by(pair)
    with pytest.raises(OSError, match="65536 bytes"):
        tls_context(replace(pair, chain_pem=largest.chain_pem + b"\n"))


def test_a_renewed_certificate_is_read_once(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    old = files.pair()
    assert files.renewed() is None
    write_certificate(tmp_path)
    renewed = files.renewed()
    assert presented_by(renewed) != presented_by(old)
    assert files.pair() == renewed
    assert files.renewed() is None


def test_the_old_certificate_is_used_while_the_files_are_invalid(tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    old = files.pair()
    valid_key = (tmp_path / "key.pem").read_bytes()
    for invalid_key in (b"not a key", None):
        (tmp_path / "key.pem").write_bytes(invalid_key) if invalid_key else (tmp_path / "key.pem").unlink()
        with capture_logs() as lines:
            assert files.renewed() is None
            assert files.renewed() is None
        assert len(lines) == 1, "each reason is logged once"
        assert files.pair() == old
    (tmp_path / "key.pem").write_bytes(valid_key)
    assert files.renewed() == old


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"certificate\.pem: No such file or directory"):
        CertificateFiles(tmp_path / "certificate.pem", tmp_path / "key.pem").pair()


def test_a_certificate_with_the_wrong_key_is_an_error(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, key = write_certificate(tmp_path / "other")
    with pytest.raises(OSError, match=r"certificate\.pem and .*key\.pem: .*mismatch"):
        CertificateFiles(certificate, key).pair()


def test_an_encrypted_key_is_an_error_without_a_password_prompt(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    private_key = load_pem_private_key(key.read_bytes(), None)
    encrypted = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    key.write_bytes(encrypted)
    with pytest.raises(OSError, match=r"key\.pem"):
        CertificateFiles(certificate, key).pair()


def test_tls_versions_before_1_2_are_disabled(tmp_path: Path) -> None:
    assert tls_context(make_certificate(tmp_path).pair()).minimum_version is ssl.TLSVersion.TLSv1_2
