"""A server for the examples of the documentation site, and the folder in which they run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import RunningServer, run_server
from tests.e2e.site.example_sequence import write_files


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server."""
    with run_server(tmp_path_factory.mktemp("site") / "data") as running:
        yield running
    assert "level=error" not in running.log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the examples read."""
    write_files(tmp_path)
    return tmp_path
