"""The checks of settings."""

from pathlib import Path

import pytest

from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.settings_checks import judge_settings, judge_settings_file

ANYWHERE = "0.0.0.0:8080"


def judged(**settings: object) -> dict[str, Finding]:
    """Return the findings by their subjects."""
    return {finding.subject: finding for finding in judge_settings(Settings(**settings))}  # type: ignore[arg-type]  # settings of many types


def test_the_defaults_have_no_conflicts() -> None:
    assert [finding.severity for finding in judged().values()] == [Severity.OK]


def test_an_open_server_without_signatures_is_an_error() -> None:
    finding = judged(auth="off", listen=ANYWHERE)["auth"]
    assert finding.severity is Severity.ERROR
    assert judged(auth="off")["auth"].severity is Severity.WARNING


@pytest.mark.parametrize(
    ("address", "severity"),
    [
        ("127.0.0.1", Severity.WARNING),
        ("10.1.2.3", Severity.NOTE),
        ("0.0.0.0", Severity.ERROR),  # noqa: S104 - not bound
        ("8.8.8.8", None),
    ],
)
def test_announced_addresses_are_judged(address: str, severity: Severity | None) -> None:
    found = judged(listen=ANYWHERE, public_url="https://stages.example.com", media_announce=(address,))
    assert (found["media_announce"].severity if "media_announce" in found else None) is severity


def test_the_warnings_of_the_start_are_findings() -> None:
    found = judged(listen=ANYWHERE)
    assert found["media_port"].severity is Severity.WARNING
    assert "firewall" in found["media_port"].meaning


def test_a_missing_media_user_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    finding = judged(media_user="no-such-user")["refused"]
    assert finding.severity is Severity.ERROR
    assert "no-such-user" in finding.found


@pytest.mark.parametrize(
    ("text", "mode", "is_found"),
    [("[[credentials]]", 0o644, True), ("[[credentials]]", 0o600, False), ('listen = "x"', 0o644, False)],
)
def test_a_settings_file_with_secrets_must_be_private(text: str, mode: int, tmp_path: Path, *, is_found: bool) -> None:
    path = tmp_path / "stagebook.toml"
    path.write_text(text)
    path.chmod(mode)
    assert bool(list(judge_settings_file(path))) is is_found
