"""`stagebook webhooks` on a data folder without a server."""

import json
from pathlib import Path
from typing import Any

import pytest

from stagebook.cli import webhooks_commands
from stagebook.cli.command_line import main
from tests.webhooks.destinations import SECRET

TARGET = "https://receiver.example/hook"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


def run(data: Path, *arguments: str) -> int:
    return main(["webhooks", *arguments, "--data", str(data)])


def shown(capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - JSON
    return json.loads(capsys.readouterr().out)


def add(data: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:  # noqa: ANN401 - JSON
    assert run(data, "add", TARGET, *arguments) == 0
    return shown(capsys)


def test_a_destination_from_the_first_to_the_last_command(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = add(data, capsys, "--event", "JOINED", "--event", "LEFT", "--error", "any", "--secret", SECRET)
    assert (made["secret"], made["filter"]) == (SECRET, {"name": ["JOINED", "LEFT"], "error": "any"})
    assert run(data, "show", made["id"]) == 0
    assert "secret" not in shown(capsys)
    assert run(data, "rotate-secret", made["id"], "--keep-previous-seconds", "0") == 0
    assert shown(capsys)["secret"] not in {SECRET, None}
    for action, state in (("disable", "disabled"), ("enable", "enabled")):
        assert run(data, action, made["id"]) == 0
        capsys.readouterr()
        assert run(data, "list") == 0
        assert state in capsys.readouterr().out
    assert run(data, "remove", made["id"]) == 0
    capsys.readouterr()
    assert run(data, "list", "--output", "json") == 0
    assert shown(capsys) == []


def test_what_has_not_been_delivered_is_an_empty_table(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = add(data, capsys)
    for action in ("deliveries", "dead-letters"):
        assert run(data, action, made["id"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1
        assert run(data, action, made["id"], "--output", "json") == 0
        assert shown(capsys) == []


def test_replays_are_queued(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = add(data, capsys)
    assert run(data, "replay", made["id"], "--start-at", "2026-11-28T18:00:00Z") == 0
    assert run(data, "replay", made["id"], "--dead-letters") == 0
    assert capsys.readouterr().out == "the replay is queued\n0 dead letters are queued\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "ftp://host/"), "target: must be an http or https URL"),
        (("add", TARGET, "--name", "a b"), "name"),
        (("add", TARGET, "--start-at", "soon"), "startAt: must be"),
        (("enable", "wh_none", "--start-at", "soon"), "startAt: must be"),
        (("show", "wh_none"), "webhook wh_none does not exist"),
        (("remove", "wh_none"), "does not exist"),
        (("deliveries", "wh_none"), "does not exist"),
        (("replay", "wh_none"), "give either"),
    ],
)
def test_an_error_names_what_is_wrong(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run(data, *arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("deliveries", "wh_1", "--limit", "0"),
        ("rotate-secret", "wh_1", "--keep-previous-seconds", "-1"),
        ("add", TARGET, "--kind", "smoke"),
        ("add", TARGET, "--event", "NONE"),
    ],
)
def test_wrong_arguments_are_a_usage_error(data: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(data, *arguments)
    assert ended.value.code == 2


def test_without_a_server_a_test_event_says_so(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = add(data, capsys)
    monkeypatch.setattr(webhooks_commands, "TEST_SECONDS", 0.0)
    assert run(data, "test", made["id"]) == 1
    assert "no server has delivered" in capsys.readouterr().err


def test_a_missing_data_folder_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none", "list") == 1
    assert "there is no data folder" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
