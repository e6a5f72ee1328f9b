"""Media through a TURN server: the page is told of it by Link header fields, and may use nothing but its relay.

The browser reaches coturn by UDP or by TCP; coturn reaches the media engine from a relay address, which is the address
of the peer to the engine.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.client.client_tab import ClientTab, ClientTabs
from tests.e2e.client.conftest import ANY_ADDRESS
from tests.e2e.client.coturn import HOST, SECRET, Coturn, find_coturn, running_coturn
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.client]

RELAY_ONLY = {"rtcConfiguration": {"iceTransportPolicy": "relay"}}
PATHS = """async () => {
  const paths = [];
  for (const peer of made.filter((each) => each instanceof RTCPeerConnection && each.connectionState === "connected")) {
    let report, pair;
    // A browser shows which pair it has nominated some time after it is connected.
    while (pair === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      report = await peer.getStats();
      pair = [...report.values()].find(({ type, nominated, state }) =>
        type === "candidate-pair" && nominated && state === "succeeded");
    }
    const { candidateType, relayProtocol } = report.get(pair.localCandidateId);
    paths.push([candidateType, relayProtocol]);
  }
  return paths;
}"""


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    path = find_coturn()
    if path is None:
        pytest.skip("there is no coturn (turnserver) on the path")
    with running_coturn(path, tmp_path_factory.mktemp("coturn")) as turn:
        yield turn


@pytest.fixture(params=["udp", "tcp"])
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def server(turn: Coturn, protocol: str, tmp_path: Path) -> Iterator[RunningServer]:
    settings = tmp_path / "stagebook.toml"
    urls = f'["turn:{HOST}:{turn.port}?transport={protocol}"]'
    settings.write_text(f'[[ice_servers]]\nurls = {urls}\nsecret = "{SECRET}"\n')
    with run_server(tmp_path / "data", config=settings, media_bind=ANY_ADDRESS, log_level="debug") as server:
        yield server
    assert SECRET not in server.log


@pytest_asyncio.fixture(loop_scope="session")
async def call(server: RunningServer, tabs: ClientTabs) -> AsyncIterator[tuple[ClientTab, ClientTab]]:
    """A publisher and a viewer, both behind the relay."""
    stage = StageHandle(server)
    publisher, viewer = [await tabs.open((await stage.token())[1]) for _ in range(2)]
    for tab in (publisher, viewer):
        await tab.join(**RELAY_ONLY)
    await publisher.publish()
    await viewer.wait_for_event("publishstarted", publisher.participant_id)
    await viewer.subscribe(publisher.participant_id)
    await viewer.wait_for_media(publisher.participant_id)
    yield publisher, viewer
    await publisher.leave()
    await viewer.leave()


async def test_a_page_publishes_and_another_watches_through_the_relay(
    call: tuple[ClientTab, ClientTab], protocol: str
) -> None:
    for tab in call:
        assert await tab.run(PATHS) == [["relay", protocol]]
