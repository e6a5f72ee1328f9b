"""Fixtures: one server for all tests of this folder, whose book holds the documented example."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.aws.access_keys import CONFIG
from tests.e2e.aws.documented_example import write_documented_book
from tests.e2e.server import Client, RunningServer, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server. It also has the access keys with restricted policies of access_keys.py."""
    folder: Path = tmp_path_factory.mktemp("aws")
    write_documented_book(folder / "data")
    config = folder / "stagebook.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with run_server(folder / "data", config=config) as running:
        yield running
    assert "level=error" not in running.log, "a request caused an error inside the server"


@pytest.fixture(scope="session")
def ivs(server: RunningServer) -> Client:
    """A boto3 client with all rights."""
    return server.client()


@pytest.fixture
def stage_arn(ivs: Client) -> str:
    """The ARN of a new stage."""
    arn: str = ivs.create_stage()["stage"]["arn"]
    return arn
