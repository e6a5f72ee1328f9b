"""One server for all these tests: it holds the documented example, and knows keys with narrower rights."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.aws.documented import write_documented_book
from tests.e2e.aws.keys import CONFIG
from tests.e2e.server import Client, RunningServer, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder: Path = tmp_path_factory.mktemp("aws")
    write_documented_book(folder / "data")
    config = folder / "stagebook.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with run_server(folder / "data", config=config) as running:
        yield running
    assert "level='error'" not in running.log, "something that a caller sent was too much for the server"


@pytest.fixture(scope="session")
def ivs(server: RunningServer) -> Client:
    return server.client()


@pytest.fixture
def stage_arn(ivs: Client) -> str:
    """The ARN of a stage of this test's own."""
    arn: str = ivs.create_stage()["stage"]["arn"]
    return arn
