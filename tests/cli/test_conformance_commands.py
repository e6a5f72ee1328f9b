"""`stagebook conformance` as a command: its list, its exit codes, and what it says without a server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagebook.cli.command_line import main
from tests.e2e.server import ACCOUNT_ID, RunningServer, run_server

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_server(tmp_path_factory.mktemp("conformance") / "data") as server:
        yield server


@pytest.fixture
def credentials(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that AWS clients of the server have."""
    for name, value in server.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("credentials")
def test_a_server_that_conforms_is_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--select", "ListStages.*", "--select", "*.arn.unknown"]) == 0
    # Nothing has told the account of the fresh server.
    assert "skipped or not run: the account is unknown: give --account-id" in capsys.readouterr().out


@pytest.mark.usefixtures("credentials")
def test_a_failure_is_exit_code_1_unless_it_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["conformance", "--creates", "--select", "ImportPublicKey.quota", "--account-id", ACCOUNT_ID]
    command += ["--format", "json"]
    assert main(command) == 1
    assert [each["outcome"] for each in json.loads(capsys.readouterr().out)["results"]] == ["failed"]
    baseline = tmp_path / "baseline.txt"
    baseline.write_text("ImportPublicKey.quota\n")
    assert main([*command, "--expect", str(baseline)]) == 0
    assert [each["outcome"] for each in json.loads(capsys.readouterr().out)["results"]] == ["expected failure"]


@pytest.mark.usefixtures("credentials")
def test_the_budget_ends_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--select", "ListStages.*", "--max-calls", "3", "--account-id", ACCOUNT_ID]) == 0
    output = capsys.readouterr().out
    assert "the budget of calls is spent" in output
    assert ", 3 calls: 3 passed, " in output


def test_ctrl_c_deletes_what_was_made_and_prints_what_was_tried(server: RunningServer) -> None:
    command = [sys.executable, "-m", "stagebook", "conformance", "--creates", "--rate", "10"]
    command += ["--select", "GetStage.*", "--account-id", ACCOUNT_ID]
    ivs = server.client()
    with subprocess.Popen(command, env=dict(server.environment), stdout=subprocess.PIPE, text=True) as process:
        while not ivs.list_stages()["stages"]:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
    assert process.returncode == 130
    assert "skipped or not run: the run was interrupted" in output
    assert ivs.list_stages()["stages"] == []


@pytest.fixture
def no_aws_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which nothing points AWS clients at a server, or says how to sign."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)


@pytest.mark.usefixtures("no_aws_variables")
def test_the_list_needs_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--list", "--select", "CreateStage.name.*"]) == 0
    assert "CreateStage.name.too-long\tharmless\tdocumented\tservice model, StageName" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --endpoint-url"),
        (("--endpoint-url", "ftp://127.0.0.1"), "give --endpoint-url"),
        (("--endpoint-url", NOBODY, "--select", "NoSuch.*"), "no check has a name like NoSuch.*"),
        (("--endpoint-url", NOBODY, "--region", "us-west-2"), "no AWS credentials"),
    ],
)
@pytest.mark.usefixtures("no_aws_variables")
def test_what_is_missing_is_told(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("no_aws_variables")
def test_a_server_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert main(["conformance", "--endpoint-url", NOBODY, "--region", "us-west-2"]) == 1
    assert f"{NOBODY} does not answer" in capsys.readouterr().err
