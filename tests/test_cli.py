"""The command line: what it prints, and its exit codes."""

import os
import subprocess
from pathlib import Path

import pytest

from stagebook.cli import main
from stagebook.config.settings import SETTINGS
from stagebook.data_folder.secrets import DataFolder, Presence
from stagebook.server.system_clock import SystemRandomness
from tests.serving import run_command


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("STAGEBOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def started(path: Path, *, endpoint_url: str = "http://127.0.0.1:8080") -> DataFolder:
    """Return a data folder as a server that ran on it leaves it."""
    folder = DataFolder(path)
    folder.prepare()
    folder.access_key(account_id="123456789012", randomness=SystemRandomness())
    folder.announce(Presence(endpoint_url=endpoint_url, region="us-west-2"))
    return folder


def test_env_prints_what_aws_clients_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, access_key = started(tmp_path / "data").last_announced()
    assert main(["env", "--data", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "export AWS_ENDPOINT_URL_IVS_REALTIME=http://127.0.0.1:8080",
        f"export AWS_ACCESS_KEY_ID={access_key.access_key_id}",
        f"export AWS_SECRET_ACCESS_KEY={access_key.secret_access_key}",
        "export AWS_REGION=us-west-2",
        "export AWS_DEFAULT_REGION=us-west-2",
    ]


def test_env_finds_the_data_folder_as_serve_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started(tmp_path / "stagebook-data", endpoint_url="http://default")
    started(tmp_path / "other", endpoint_url="http://other")
    assert main(["env"]) == 0
    assert "http://default" in capsys.readouterr().out
    monkeypatch.setenv("STAGEBOOK_DATA", "other")
    assert main(["env"]) == 0
    assert "http://other" in capsys.readouterr().out


def test_a_shell_reads_back_exactly_what_env_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nasty = "http://x/'\"$(touch pwned) `id`"
    started(tmp_path / "data", endpoint_url=nasty)
    main(["env", "--data", "data"])
    script = capsys.readouterr().out + '\nprintf %s "$AWS_ENDPOINT_URL_IVS_REALTIME"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout == nasty
    assert not (tmp_path / "pwned").exists()


def test_env_before_the_first_start_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env"]) == 1
    assert "stagebook serve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serve", "--media-port", "x"], "media_port"),
        (["serve", "--config", "missing.toml"], "missing.toml"),
        (["serve", "--auth", "maybe"], "auth"),
        (["env", "--data", ""], "data"),
    ],
)
def test_a_wrong_setting_ends_with_code_2_and_its_name(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line


def test_an_unknown_flag_ends_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--colour", "red"])
    assert ended.value.code == 2
    assert "--colour" in capsys.readouterr().err


def test_help_names_every_setting_but_those_with_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    words = capsys.readouterr().out.split()
    for setting in SETTINGS.values():
        assert (setting.flag in words) == (setting.name != "credentials"), setting.name


def test_the_command_is_installed_and_knows_its_version() -> None:
    ended = run_command("--version")
    assert ended.returncode == 0
    assert ended.stdout.startswith("stagebook 0.")
