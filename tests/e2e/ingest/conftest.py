"""One server for all tests that do not stop it. Each test has its own stage and ingest configuration."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.ingest.ingest_handle import IMPATIENT, IngestHandle, run_ingest_server
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_ingest_server(tmp_path_factory.mktemp("ingest") / "data") as server:
        yield server
    # Whatever an encoder sends, it is not an error of the server.
    assert "level=error" not in server.log, server.log


@pytest.fixture(scope="session")
def impatient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that soon ends a stream that is silent, incomplete or too large."""
    with run_ingest_server(tmp_path_factory.mktemp("impatient") / "data", **IMPATIENT) as server:
        yield server
    assert "level=error" not in server.log, server.log


@pytest.fixture
def stage(server: RunningServer) -> StageHandle:
    return StageHandle(server)


@pytest.fixture
async def impatient_ingest(impatient_server: RunningServer, ingests: list[IngestHandle]) -> IngestHandle:
    """An ingest configuration of a stage of the impatient server."""
    ingests.append(await IngestHandle.create(StageHandle(impatient_server)))
    return ingests[0]


@pytest.fixture
async def ingests() -> AsyncIterator[list[IngestHandle]]:
    """The test's ingest configurations. Their encoders are killed at the end."""
    ingests: list[IngestHandle] = []
    yield ingests
    for ingest in ingests:
        await ingest.close()


@pytest.fixture
async def ingest(stage: StageHandle, ingests: list[IngestHandle]) -> IngestHandle:
    """An ingest configuration of the test's stage that allows RTMP and RTMPS."""
    ingests.append(await IngestHandle.create(stage))
    return ingests[0]


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    peers = Peers()
    yield peers
    await peers.close()
