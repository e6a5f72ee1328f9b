"""The checks of the RTMPS certificate, with real certificates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stagebook.config.settings import Settings
from stagebook.data_folder.rtmps_certificate import (
    CLOCK_SKEW,
    LOCAL_HOSTS,
    VALIDITY,
    new_certificate_key,
    self_signed_certificate,
)
from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.certificate_checks import is_named, judge_certificate, read_certificate_facts
from stagebook.diagnosis.finding import Finding, Severity

NOW = datetime.now(UTC)
KEY = new_certificate_key()
CERTIFICATE = self_signed_certificate(KEY, hosts=[*LOCAL_HOSTS, "ingest.example.com"], now=NOW)


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def configured(tmp_path: Path, *, key: bytes = KEY, mode: int = 0o600, **settings: str) -> Settings:
    """Return settings with this certificate and a key in files."""
    (tmp_path / "certificate.pem").write_bytes(CERTIFICATE)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "key.pem").chmod(mode)
    paths = {"rtmps_certificate": str(tmp_path / "certificate.pem"), "rtmps_private_key": str(tmp_path / "key.pem")}
    return Settings(**paths | settings)  # type: ignore[arg-type]  # strings are not all settings


def judge(settings: Settings, folder: DataFolder, *, now: datetime = NOW) -> list[Finding]:
    facts = read_certificate_facts(settings, folder)
    assert facts is not None
    return list(judge_certificate(facts, now=now))


def worst(findings: list[Finding]) -> Severity:
    return max((finding.severity for finding in findings), key=list(Severity).index)


def test_a_certificate_for_the_host_of_encoders_is_noted_as_self_signed(tmp_path: Path, folder: DataFolder) -> None:
    settings = configured(tmp_path, rtmps_public_url="rtmps://ingest.example.com:443/app/")
    assert [finding.severity for finding in judge(settings, folder)] == [Severity.OK, Severity.NOTE]


@pytest.mark.parametrize(
    ("after", "severity"),
    [
        (VALIDITY - timedelta(days=15), Severity.NOTE),
        (VALIDITY - timedelta(days=13), Severity.WARNING),
        (VALIDITY + timedelta(seconds=1), Severity.ERROR),
        (-CLOCK_SKEW - timedelta(seconds=1), Severity.ERROR),
    ],
    ids=["valid", "ends soon", "expired", "not yet valid"],
)
def test_the_dates_are_judged(after: timedelta, severity: Severity, tmp_path: Path, folder: DataFolder) -> None:
    assert worst(judge(configured(tmp_path), folder, now=NOW + after)) is severity


def test_a_missing_host_name_is_a_warning(tmp_path: Path, folder: DataFolder) -> None:
    settings = configured(tmp_path, listen="0.0.0.0:8080", public_url="https://stages.example.com")
    (finding,) = (found for found in judge(settings, folder) if found.severity is Severity.WARNING)
    assert "not for stages.example.com" in finding.found


def test_a_key_of_another_certificate_is_an_error(tmp_path: Path, folder: DataFolder) -> None:
    (finding,) = judge(configured(tmp_path, key=new_certificate_key()), folder)
    assert finding.severity is Severity.ERROR
    assert "is not the key of" in finding.found


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_key_that_others_can_use_is_an_error(mode: int, tmp_path: Path, folder: DataFolder) -> None:
    findings = judge(configured(tmp_path, mode=mode), folder)
    assert worst(findings) is Severity.ERROR
    assert f"mode {mode:o}" in findings[-1].found


def test_a_missing_file_is_an_error(tmp_path: Path, folder: DataFolder) -> None:
    settings = configured(tmp_path)
    (tmp_path / "certificate.pem").unlink()
    (finding,) = judge(settings, folder)
    assert "cannot be read" in finding.found


def test_the_certificate_of_the_data_folder_is_judged(folder: DataFolder) -> None:
    assert read_certificate_facts(Settings(), folder) is None
    folder.prepare()
    folder.prepare_certificate(hosts=LOCAL_HOSTS, now=NOW)
    assert worst(judge(Settings(), folder)) is Severity.OK


def test_without_rtmps_there_is_no_certificate(folder: DataFolder) -> None:
    folder.prepare()
    folder.prepare_certificate(hosts=LOCAL_HOSTS, now=NOW)
    assert read_certificate_facts(Settings(rtmps_listen=""), folder) is None


@pytest.mark.parametrize(
    ("host", "names", "expected"),
    [
        ("a.example.com", ["a.example.com"], True),
        ("A.Example.com.", ["a.example.COM"], True),
        ("a.example.com", ["*.example.com"], True),
        ("a.b.example.com", ["*.example.com"], False),
        ("example.com", ["*.example.com"], False),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("a.example.com", [], False),
    ],
)
def test_names_match_as_clients_match_them(host: str, names: list[str], *, expected: bool) -> None:
    assert is_named(host, names) is expected
