"""The SDK behind a TURN relay, by the function that docs/front-end.md gives to pages."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.backend import Backend
from tests.e2e.client.coturn import HOST, SECRET, find_coturn, running_coturn
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_tab import SdkTab, SdkTabs, Seen
from tests.e2e.server import RunningServer, run_server

pytestmark = [pytest.mark.sdk, pytest.mark.asyncio(loop_scope="session")]

GUIDE = Path(__file__).parents[3] / "docs" / "front-end.md"
LOCAL_CANDIDATES = """async () => {
  const types = [];
  for (const peer of peerConnections.filter((each) => each.connectionState === "connected")) {
    const report = await peer.getStats();
    const pair = [...report.values()].find(({ type, nominated, state }) =>
      type === "candidate-pair" && nominated && state === "succeeded");
    types.push(report.get(pair.localCandidateId).candidateType);
  }
  return types;
}"""


@pytest.fixture
def turn_server(chromium_path: str, tmp_path: Path) -> Iterator[RunningServer]:  # noqa: ARG001 - skips without Chromium
    path = find_coturn()
    if path is None:
        pytest.skip("there is no coturn (turnserver) on the path")
    with running_coturn(path, tmp_path) as turn:
        settings = tmp_path / "stagebook.toml"
        settings.write_text(f'[[ice_servers]]\nurls = ["turn:{HOST}:{turn.port}"]\nsecret = "{SECRET}"\n')
        with run_server(tmp_path / "data", config=settings) as server:
            yield server


async def relayed_tab(tabs: SdkTabs, token: str) -> SdkTab:
    """Open a tab whose page has called the function of the guide, and may use nothing but a relay."""
    found = re.search(r"async function useIceServers.*?\n}\n", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    code = found[0].replace("...configuration, iceServers", '...configuration, iceServers, iceTransportPolicy: "relay"')
    assert code != found[0]
    tab = await tabs.tab()
    await tab.run(f"async (token) => {{ {code} await useIceServers(token); }}", token)
    return tab


async def test_pages_publish_and_watch_through_a_relay_also_over_a_real_time_connection(
    turn_server: RunningServer, tabs: SdkTabs
) -> None:
    stage = StageHandle(turn_server)
    backend = await asyncio.to_thread(Backend, stage.ivs)
    _, publisher_token = await stage.token()
    _, member_token = await stage.token()
    publisher = await (await relayed_tab(tabs, publisher_token)).publisher(publisher_token)
    await publisher.join()
    await publisher.expect((Seen.PUBLISH_STATE, publisher.participant_id, "published"))
    tab = await relayed_tab(tabs, member_token)
    await tab.share(backend.connection_token(stage.arn, "shared"))
    member = await tab.publisher(member_token, name="first", shares=True)
    await member.join()
    await member.expect_media(publisher.participant_id)
    await publisher.expect_media(member.participant_id)
    assert set(await publisher.tab.run(LOCAL_CANDIDATES)) == {"relay"}
    assert set(await member.tab.run(LOCAL_CANDIDATES)) == {"relay"}
