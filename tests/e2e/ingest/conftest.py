"""One server for the tests that leave it running, a fresh stage and a fresh ingest configuration for each of them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.ingest.ingest_of_test import IngestOfTest, run_ingest_server
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_ingest_server(tmp_path_factory.mktemp("ingest") / "data") as server:
        yield server
    # Nothing that these tests send is the server's own fault.
    assert "level=error" not in server.log, server.log


@pytest.fixture
def stage(server: RunningServer) -> StageHandle:
    return StageHandle(server)


@pytest.fixture
async def made() -> AsyncIterator[list[IngestOfTest]]:
    """The configurations whose encoders are killed at the end."""
    made: list[IngestOfTest] = []
    yield made
    for ingest in made:
        await ingest.close()


@pytest.fixture
async def ingest(stage: StageHandle, made: list[IngestOfTest]) -> IngestOfTest:
    """A configuration on the test's stage that takes RTMP and RTMPS."""
    made.append(await IngestOfTest.make(stage))
    return made[0]


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    peers = Peers()
    yield peers
    await peers.close()
