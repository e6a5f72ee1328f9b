"""The checks of disk space, open files, temporary files and cores."""

from pathlib import Path

import pytest

from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Severity
from stagebook.diagnosis.resource_checks import ResourceFacts, judge_resources, read_resource_facts

ENOUGH = ResourceFacts(
    disk=Path("/"),
    free_bytes=1 << 40,
    open_files=None,
    wanted_open_files=20_200,
    temporary_folder=Path("/tmp"),  # noqa: S108 - not used
    is_temporary_folder_writable=True,
    cores=2,
    media_processes=1,
)


def severities(**changes: object) -> dict[str, Severity]:
    """Return the severity of each finding by its subject."""
    members = {name: getattr(ENOUGH, name) for name in ENOUGH.__struct_fields__}
    return {finding.subject: finding.severity for finding in judge_resources(ResourceFacts(**members | changes))}


def test_enough_of_everything_is_fine() -> None:
    assert set(severities().values()) == {Severity.OK}


@pytest.mark.parametrize(
    ("changes", "subject", "severity"),
    [
        ({"free_bytes": 1 << 30}, "disk space", Severity.OK),
        ({"free_bytes": (1 << 30) - 1}, "disk space", Severity.WARNING),
        ({"free_bytes": (100 << 20) - 1}, "disk space", Severity.ERROR),
        ({"open_files": 20_200}, "open files", Severity.OK),
        ({"open_files": 20_199}, "open files", Severity.WARNING),
        ({"temporary_folder": Path("/" + 64 * "a")}, "temporary files", Severity.OK),
        ({"temporary_folder": Path("/" + 65 * "a")}, "temporary files", Severity.ERROR),
        ({"is_temporary_folder_writable": False}, "temporary files", Severity.ERROR),
        ({"media_processes": 2}, "cores", Severity.OK),
        ({"media_processes": 3}, "cores", Severity.WARNING),
    ],
)
def test_each_bound_is_judged(changes: dict[str, object], subject: str, severity: Severity) -> None:
    assert severities(**changes)[subject] is severity


def test_the_resources_of_this_machine_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    facts = read_resource_facts(Settings(data=str(tmp_path / "not" / "there")))
    assert facts.disk == tmp_path
    assert facts.free_bytes > 0
    assert facts.cores > 0
    assert not facts.is_temporary_folder_writable
