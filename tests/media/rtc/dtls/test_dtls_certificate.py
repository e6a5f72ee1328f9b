"""The DTLS certificate of an engine."""

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import hashes

from stagebook.media.rtc.dtls.dtls_certificate import fingerprint_of, make_certificate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_certificate_is_valid_from_one_day_ago_for_one_year() -> None:
    certificate = make_certificate(NOW).x509
    assert certificate.not_valid_before_utc == NOW - timedelta(days=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)


def test_the_fingerprint_is_the_sha_256_of_the_certificate() -> None:
    certificate = make_certificate(NOW)
    assert certificate.fingerprint.algorithm == "sha-256"
    assert certificate.fingerprint.digest == certificate.x509.fingerprint(hashes.SHA256())
    assert len(fingerprint_of(certificate.x509, "sha-512").digest) == 64


def test_each_certificate_is_different() -> None:
    assert make_certificate(NOW).fingerprint != make_certificate(NOW).fingerprint
