"""Fixtures: one server for the tests of participants without media, and a new stage of a fresh account for each.

Another server, with the quotas of AWS, is for tests of the clock and of faults.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Client
from tests.e2e.testing.controlled_server import LINGER_SECONDS, ControlledServer
from tests.serving import ServerProcess


@pytest.fixture(scope="session")
def peer_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlledServer]:
    data: Path = tmp_path_factory.mktemp("peers") / "data"
    with ServerProcess(data, "--testing") as process, ControlledServer(process) as server:
        yield server


@pytest.fixture
def ivs(peer_server: ControlledServer) -> Client:
    return peer_server.client()


@pytest.fixture
def stage_arn(ivs: Client) -> str:
    arn: str = ivs.create_stage()["stage"]["arn"]
    return arn


@pytest.fixture(scope="session")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlledServer]:
    flags = ("--testing", "--quotas", "strict", "--session-linger-seconds", f"{LINGER_SECONDS}")
    data: Path = tmp_path_factory.mktemp("controlled") / "data"
    with ServerProcess(data, *flags) as process, ControlledServer(process) as server:
        yield server
        assert "level=error" not in process.output
