"""Fixtures: one server for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with an empty book."""
    with run_server(tmp_path_factory.mktemp("watch") / "data") as running:
        yield running
    assert "level=error" not in running.log, "a request caused an error inside the server"
