"""The command line: its output and its exit codes."""

import os
import subprocess
from pathlib import Path

import pytest

from stagebook.cli.command_line import main
from stagebook.config.settings import SECRET_SETTINGS, SETTINGS
from stagebook.data_folder.secrets import DataFolder, ServerAddress
from stagebook.server.system_clock import SystemRandomness
from tests.serving import COMMAND, clean_environment, run_command


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("STAGEBOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def data_folder_after_a_run(path: Path, *, endpoint_url: str = "http://127.0.0.1:8080") -> DataFolder:
    """Return a data folder on which a server has run."""
    folder = DataFolder(path)
    folder.prepare()
    folder.access_key(account_id="123456789012", randomness=SystemRandomness())
    folder.write_server_address(ServerAddress(endpoint_url=endpoint_url, region="us-west-2"))
    return folder


def test_env_prints_what_aws_clients_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, access_key = data_folder_after_a_run(tmp_path / "data").read_server_access()
    assert main(["env", "--data", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "export AWS_ENDPOINT_URL_IVS_REALTIME=http://127.0.0.1:8080",
        f"export AWS_ACCESS_KEY_ID={access_key.access_key_id}",
        f"export AWS_SECRET_ACCESS_KEY={access_key.secret_access_key}",
        "export AWS_SESSION_TOKEN=''",
        "export AWS_REGION=us-west-2",
        "export AWS_DEFAULT_REGION=us-west-2",
    ]


def test_env_uses_the_data_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data_folder_after_a_run(tmp_path / "stagebook-data", endpoint_url="http://default")
    data_folder_after_a_run(tmp_path / "other", endpoint_url="http://other")
    assert main(["env"]) == 0
    assert "http://default" in capsys.readouterr().out
    monkeypatch.setenv("STAGEBOOK_DATA", "other")
    assert main(["env"]) == 0
    assert "http://other" in capsys.readouterr().out


def test_the_output_of_env_is_quoted_for_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://x/'\"$(touch pwned) `id`"
    data_folder_after_a_run(tmp_path / "data", endpoint_url=url)
    main(["env", "--data", "data"])
    script = capsys.readouterr().out + '\nprintf %s "$AWS_ENDPOINT_URL_IVS_REALTIME"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout == url
    assert not (tmp_path / "pwned").exists()


def test_env_before_the_first_start_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
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
def test_an_invalid_setting_ends_with_code_2_and_names_the_setting(
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


def test_help_lists_every_setting_except_those_with_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    words = capsys.readouterr().out.split()
    for setting in SETTINGS.values():
        assert (setting.flag in words) == (setting.name not in SECRET_SETTINGS), setting.name


def test_a_closed_pipe_ends_the_version_without_a_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [*COMMAND, "--version"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=clean_environment(),
        )
    finally:
        os.close(writer)
    assert ended.returncode == 141
    assert ended.stderr == ""


def test_the_installed_command_prints_its_version() -> None:
    ended = run_command("--version")
    assert ended.returncode == 0
    assert ended.stdout.startswith("stagebook 0.")
