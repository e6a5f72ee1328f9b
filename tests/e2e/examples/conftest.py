"""Fixtures: a server with recorded stages, and each backend of `examples/` in front of it.

The backend in Python runs in `make test`; the others are built first, in `make test-examples`.
"""

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.examples.example_backends import (
    GO,
    JAVA,
    PYTHON,
    TYPESCRIPT,
    BackendUnavailableError,
    BuiltBackend,
    build,
    running,
)
from tests.e2e.examples.recorded_stages import write_recorded_stages
from tests.e2e.server import RunningServer, run_server

BACKENDS = [
    pytest.param(PYTHON, id="python"),
    pytest.param(TYPESCRIPT, id="typescript", marks=pytest.mark.examples),
    pytest.param(GO, id="go", marks=pytest.mark.examples),
    pytest.param(JAVA, id="java", marks=pytest.mark.examples),
]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("examples") / "data"
    write_recorded_stages(data)
    with run_server(data, flags="--testing", session_linger_seconds="60") as server:
        yield server
    assert "level=error" not in server.log, server.log


@pytest.fixture(scope="session", params=BACKENDS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuiltBackend:
    """A backend. Skips the test where a program or a package is missing."""
    try:
        return build(request.param, tmp_path_factory.mktemp("built"))
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def url(server: RunningServer, built: BuiltBackend) -> Iterator[str]:
    """The URL of the running backend."""
    with running(built, server.environment) as url:
        yield url


@pytest.fixture
def backend(url: str) -> Iterator[httpx.Client]:
    """A client of the running backend."""
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client
