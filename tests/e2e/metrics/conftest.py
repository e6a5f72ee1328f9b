"""Fixtures: one server with an engine and an ingest process."""

from collections.abc import Iterator

import pytest

from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_server(tmp_path_factory.mktemp("metrics") / "data", media_port="0", session_linger_seconds="60") as server:
        yield server
    assert "level=error" not in server.log, server.log
