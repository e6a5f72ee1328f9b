"""The checks of the data folder, with real files and injected owners."""

import os
from pathlib import Path

import msgspec
import pytest

from stagebook.data_folder.secrets import DataFolder
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.folder_checks import (
    FolderFacts,
    file_system_of,
    is_visible,
    judge_folder,
    read_folder_facts,
)
from stagebook.server.system_clock import SystemRandomness


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> DataFolder:
    """A data folder with a secret and a book."""
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    folder.page_token_secret(randomness=SystemRandomness())
    folder.book_path.touch(mode=0o600)
    return folder


def problems(facts: FolderFacts) -> list[Finding]:
    return [finding for finding in judge_folder(facts) if finding.severity is not Severity.OK]


def test_a_private_folder_is_fine(folder: DataFolder) -> None:
    (finding,) = judge_folder(read_folder_facts(folder))
    assert finding.severity is Severity.OK
    assert finding.found == f"2 files, all of user {os.geteuid()} and private"


def test_a_missing_folder_that_can_be_created_is_fine(tmp_path: Path) -> None:
    (finding,) = judge_folder(read_folder_facts(DataFolder(tmp_path / "some" / "where")))
    assert finding.severity is Severity.OK


def test_a_folder_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = judge_folder(read_folder_facts(DataFolder(tmp_path / "file" / "data")))
    assert finding.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("name", "mode", "severity", "remedy"),
    [
        ("page-token-secret", 0o644, Severity.ERROR, "chmod 600"),
        ("page-token-secret", 0o660, Severity.ERROR, "check that nobody changed it"),
        ("book.sqlite3", 0o644, Severity.WARNING, "chmod 600"),
        ("book.sqlite3", 0o622, Severity.ERROR, "check that nobody changed it"),
        (".", 0o755, Severity.WARNING, "chmod 700"),
        (".", 0o777, Severity.ERROR, "check that nobody changed it"),
    ],
)
def test_a_wrong_mode_is_found(name: str, mode: int, severity: Severity, remedy: str, folder: DataFolder) -> None:
    (folder.path / name).chmod(mode)
    (finding,) = problems(read_folder_facts(folder))
    assert finding.severity is severity
    assert f"mode {mode:o}" in finding.found
    assert remedy in finding.remedy


def test_files_that_are_not_of_the_server_do_not_matter(folder: DataFolder) -> None:
    (folder.path / "lost+found").mkdir(mode=0o777)
    assert problems(read_folder_facts(folder)) == []


def test_a_file_of_another_user_is_an_error(folder: DataFolder) -> None:
    facts = read_folder_facts(folder)
    files = [
        msgspec.structs.replace(each, owner_id=each.owner_id + (each.path == folder.book_path)) for each in facts.files
    ]
    (finding,) = problems(msgspec.structs.replace(facts, files=tuple(files)))
    assert finding.severity is Severity.ERROR
    assert f"chown {os.geteuid()} " in finding.remedy


@pytest.mark.parametrize(("user_id", "severity"), [(0, Severity.NOTE), (1_234, Severity.ERROR)])
def test_a_folder_of_another_user_names_it(user_id: int, severity: Severity, folder: DataFolder) -> None:
    facts = read_folder_facts(folder)
    files = tuple(msgspec.structs.replace(each, owner_id=4_321) for each in facts.files)
    (finding,) = problems(msgspec.structs.replace(facts, files=files, user_id=user_id))
    assert finding.severity is severity
    assert "4321" in finding.found


def test_a_network_file_system_is_an_error(folder: DataFolder) -> None:
    (finding,) = problems(msgspec.structs.replace(read_folder_facts(folder), file_system="nfs4"))
    assert finding.severity is Severity.ERROR


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path}/with\\040space nfs4 rw 0 0\n/dev/b /other xfs rw 0 0\n"
    )
    assert file_system_of(tmp_path / "with space" / "data", mounts=mounts) == "nfs4"
    assert file_system_of(tmp_path, mounts=mounts) == "ext4"
    assert file_system_of(tmp_path, mounts=tmp_path / "missing") == ""


def test_what_cannot_be_reached_is_invisible(folder: DataFolder) -> None:
    assert is_visible(folder.book_path)
    assert not is_visible(folder.path / "missing")
    assert not is_visible(folder.book_path / "below a file")
