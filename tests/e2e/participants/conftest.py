"""Fixtures: one server for all tests that do not stop it, a new stage for each test, and WebRTC peers."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.clients.publisher import Publisher
from tests.clients.viewer import Viewer
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Sessions stay open after their last participant, so that tests find one session.

    The timeouts of peers are the defaults: a peer in the process of a test is late when the machine is busy.
    """
    with run_server(
        tmp_path_factory.mktemp("participants") / "data",
        whip_redirect="true",
        session_linger_seconds="60",
    ) as server:
        yield server
    assert "level=error" not in server.log, server.log  # no request may cause an error inside the server


@pytest.fixture
def stage(server: RunningServer) -> StageHandle:
    """A new stage."""
    return StageHandle(server)


class Peers:
    """Creates publishers and viewers, and stops all of them at the end of the test."""

    def __init__(self) -> None:
        self._peers: list[Publisher | Viewer] = []

    def publisher(self, token: str, *, whip_url: str | None = None, **directions: str | None) -> Publisher:
        """Return a publisher that is not started. `whip_url` replaces the URL in the token. `directions` are those of
        its `audio` and `video` section."""
        publisher = Publisher(token, whip_url=whip_url, **directions)
        self._peers.append(publisher)
        return publisher

    def viewer(self, token: str, *, publisher_id: str) -> Viewer:
        """Return a viewer of this publisher that is not started."""
        viewer = Viewer(token, publisher_id=publisher_id)
        self._peers.append(viewer)
        return viewer

    async def close(self) -> None:
        """Stop all peers."""
        for peer in self._peers:
            await peer.stop()


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    peers = Peers()
    yield peers
    await peers.close()
