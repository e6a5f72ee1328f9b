"""A server for the tests of the suite. They delete what they make."""

from collections.abc import Iterator

import pytest

from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="session")
def testing_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose compositions need no media, and whose clock can be moved."""
    with run_server(tmp_path_factory.mktemp("testing") / "data", flags="--testing") as server:
        yield server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_server(tmp_path_factory.mktemp("conformance") / "data") as server:
        yield server
