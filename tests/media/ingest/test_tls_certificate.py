"""The certificate of RTMPS: read at the start, read again when it has changed, kept while the new one is no good."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from stagebook.media.ingest.tls_certificate import Certificate
from tests.media.ingest.serving import unchecked_tls, write_certificate


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a client is shown, by a handshake in memory."""
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


def made(folder: Path, clock: Clock) -> Certificate:
    certificate, key = write_certificate(folder)
    return Certificate(str(certificate), str(key), clock=clock)


def test_a_new_certificate_is_shown_within_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    certificate = made(tmp_path, clock)
    former = shown(certificate.context())
    write_certificate(tmp_path)
    assert shown(certificate.context()) == former, "the files are not looked at for every connection"
    clock.now += 61
    assert shown(certificate.context()) != former


def test_files_that_cannot_be_used_leave_the_former_certificate_until_they_can(tmp_path: Path) -> None:
    clock = Clock()
    certificate = made(tmp_path, clock)
    former = shown(certificate.context())
    good = (tmp_path / "key.pem").read_bytes()
    for bad in (b"nonsense", None):
        (tmp_path / "key.pem").write_bytes(bad) if bad else (tmp_path / "key.pem").unlink()
        clock.now += 61
        assert shown(certificate.context()) == former
    (tmp_path / "key.pem").write_bytes(good)
    clock.now += 61
    assert shown(certificate.context()) == former


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"certificate\.pem: No such file or directory"):
        Certificate(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"), clock=Clock())


def test_a_certificate_of_another_key_is_refused(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, key = write_certificate(tmp_path / "other")
    with pytest.raises(OSError, match=r"certificate\.pem and .*key\.pem: .*mismatch"):
        Certificate(str(certificate), str(key), clock=Clock())


def test_a_key_with_a_password_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    private_key = load_pem_private_key(key.read_bytes(), None)
    locked = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    key.write_bytes(locked)
    with pytest.raises(OSError, match=r"key\.pem"):
        Certificate(str(certificate), str(key), clock=Clock())


def test_old_tls_is_not_spoken(tmp_path: Path) -> None:
    assert made(tmp_path, Clock()).context().minimum_version is ssl.TLSVersion.TLSv1_2
