"""One server for the tests that leave it running, and a fresh stage for each of them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.clients.publisher import Publisher
from tests.clients.viewer import Viewer
from tests.e2e.participants.stage_of_test import StageOfTest
from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_server(
        tmp_path_factory.mktemp("join") / "data",
        whip_redirect="true",
        session_linger_seconds="60",
        media_consent_timeout_seconds="3",
        websocket_ping_seconds="0.5",
        websocket_timeout_seconds="2",
    ) as server:
        yield server
    # Nothing that these tests send is the server's own fault.
    assert "level=error" not in server.log, server.log


@pytest.fixture
def stage(server: RunningServer) -> StageOfTest:
    return StageOfTest(server)


class Peers:
    """Makes publishers and viewers, and closes those that a test leaves behind."""

    def __init__(self) -> None:
        self._made: list[Publisher | Viewer] = []

    def publisher(self, token: str, *, whip_url: str | None = None) -> Publisher:
        publisher = Publisher(token, whip_url=whip_url)
        self._made.append(publisher)
        return publisher

    def viewer(self, token: str, *, publisher_id: str) -> Viewer:
        viewer = Viewer(token, publisher_id=publisher_id)
        self._made.append(viewer)
        return viewer

    async def close(self) -> None:
        for peer in self._made:
            await peer.stop()


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    peers = Peers()
    yield peers
    await peers.close()
