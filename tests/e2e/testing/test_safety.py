"""What keeps tests away from a server for people: its data folder, its settings, and its log."""

import os
from pathlib import Path

import pytest

from stagebook.config.rules import ConfigError
from stagebook.config.sources import load_settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.server.lifecycle import StartError, serve
from tests.e2e.testing.controlled_server import ControlledServer
from tests.serving import ServerProcess


@pytest.fixture(autouse=True)
def umask_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts in this process must not change its umask."""
    monkeypatch.setattr(os, "umask", lambda _mask: 0)


def test_a_test_server_says_so_and_goes_on_where_its_clock_was(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", "--testing") as server, ControlledServer(server) as controlled:
        assert "WARNING: with --testing, every program on this machine controls the clock" in server.output
        assert 'level=warning event="this server is for tests"' in server.output
        controlled.post("/clock/freeze", at="2050-01-01T00:00:00Z")
        stage = controlled.client().create_stage()["stage"]
        participant = controlled.post("/participants", stageArn=stage["arn"])
        controlled.post(f"/participants/{participant['id']}/join")
        assert server.end() == 0

    with pytest.raises(StartError, match=f"data folder {tmp_path / 'data'} is for tests"):
        serve(load_settings(flags={"data": str(tmp_path / "data")}, environment={}))
    with ServerProcess(tmp_path / "data", "--testing") as server, ControlledServer(server) as controlled:
        assert controlled.get("/clock")["now"].startswith("2050-01-01T00:00:")


def test_a_book_of_people_is_not_for_tests(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    folder.book_path.touch(mode=0o600)

    with pytest.raises(StartError, match=f"data folder {folder.path} has a book that was made without --testing"):
        serve(load_settings(flags={"data": str(folder.path)}, environment={}), is_testing=True)


def test_no_environment_variable_makes_a_server_for_tests() -> None:
    with pytest.raises(ConfigError, match="there is no such setting"):
        load_settings(flags={}, environment={"STAGEBOOK_TESTING": "1"})


def test_no_configuration_file_makes_a_server_for_tests(tmp_path: Path) -> None:
    config = tmp_path / "stagebook.toml"
    config.write_text("testing = true\n")

    with pytest.raises(ConfigError, match="there is no such setting"):
        load_settings(flags={}, environment={}, config_file=config)
