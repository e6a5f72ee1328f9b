"""`stagebook events import` and `stagebook check`: what they print, their exit codes, and a book that is in use."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.book.sqlite.book_lock import BookLock
from stagebook.cli.command_line import main
from stagebook.data_folder.secrets import DataFolder
from stagebook.data_folder.testing_mark import claim_folder
from stagebook.server.system_clock import SystemRandomness
from tests.audit.importing import aws
from tests.book.sample import ARN, SESSION
from tests.serving import COMMAND, DEADLINE_SECONDS, clean_environment

NAMED = ("--stage-arn", ARN, "--session-id", SESSION)
SOUND = (("LEFT", "36:28"), ("JOINED", "30:34"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "events.json"
    path.write_bytes(aws(*SOUND))
    return path


def run(command: str, data: Path, *arguments: str) -> int:
    return main([*command.split(), "--data", str(data), *arguments])


def test_it_says_what_it_has_imported(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert run("events import", data, str(source), *NAMED) == 0
    assert run("events import", data, str(source), *NAMED) == 0
    assert capsys.readouterr().err.splitlines() == [
        "imported 2 events of 1 participant in 1 session",
        "imported 0 events of 1 participant in 1 session; 2 more are in the book already",
    ]
    assert run("check", data) == 0
    assert capsys.readouterr().out == "2 events of 1 participant in 1 session: no rule is broken\n"


def test_a_trial_changes_nothing(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert run("events import", data, str(source), *NAMED, "--dry-run") == 0
    assert capsys.readouterr().err == "would import 2 events of 1 participant in 1 session\n"
    assert not (data / "book.sqlite3").exists()


def test_a_new_folder_can_be_one_for_tests(source: Path, tmp_path: Path) -> None:
    assert run("events import", tmp_path / "trial", str(source), *NAMED, "--testing", "--dry-run") == 0
    assert run("events import", tmp_path / "data", str(source), *NAMED, "--testing") == 0

    assert not DataFolder(tmp_path / "trial").testing_mark_path.exists()
    claim_folder(DataFolder(tmp_path / "data"), is_testing=True)


def test_a_folder_of_people_does_not_become_one_for_tests(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("events import", tmp_path / "data", str(source), *NAMED) == 0
    assert run("events import", tmp_path / "data", str(source), *NAMED, "--testing") == 1
    assert "has a book that was made without --testing" in capsys.readouterr().err


def test_a_refusal_names_the_line_and_the_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "events.json"
    path.write_bytes(aws(("LEFT", "36:28")))
    assert run("events import", tmp_path / "data", str(path), *NAMED) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(
        f"stagebook: nothing was imported: {path}:3 {ARN} session {SESSION} participant ann: presence:"
    )
    assert second.startswith("  presence: JOINED and LEFT alternate")


def test_a_file_may_come_from_a_pipe_and_be_compressed(tmp_path: Path) -> None:
    completed = subprocess.run(
        [*COMMAND, "events", "import", "--data", str(tmp_path / "data"), "-", *NAMED],
        input=gzip.compress(aws(*SOUND)),
        env=clean_environment(),
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, b"imported 2 events of 1 participant in 1 session\n")


def test_a_book_in_use_is_refused(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert run("events import", data, str(source), *NAMED) == 0
    capsys.readouterr()
    with BookLock.take(data / "book.sqlite3"):
        assert run("events import", data, str(source), *NAMED) == 1
        assert "Stop that server first" in capsys.readouterr().err
        assert run("check", data) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("missing.json",), "No such file"),
        ((sys.prefix,), "Is a directory"),
        (("-", "--session-id", SESSION), "--session-id needs --stage-arn"),
    ],
)
def test_what_cannot_be_done_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], named: str
) -> None:
    assert run("events import", tmp_path / "data", *arguments) == 1
    assert named in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_missing_book_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", tmp_path) == 1
    assert "there is no book at" in capsys.readouterr().err


def test_what_a_server_will_do_is_said(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    folder.access_key(account_id="210987654321", randomness=SystemRandomness())
    folder.webhook_path.touch(mode=0o600)
    source.write_bytes(source.read_bytes().replace(b"2023-", b"2223-"))
    assert run("events import", folder.path, str(source), *NAMED) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 3
    for words, warning in zip(("account 2109", "2223-04-26", "webhooks"), warnings, strict=True):
        assert words in warning
