"""The addresses of the media engine: IPv6, both families, and announced ones that a page cannot reach.

Candidates of a page without a camera are names that only its own network resolves (mDNS); the engine ignores them.
"""

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagebook.media.rtc.ice.candidates import candidate_ips
from tests.e2e.client.client_tab import ClientTabs
from tests.e2e.client.conftest import ANY_ADDRESS
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.client]

UNREACHABLE = "203.0.113.7"
"""A documentation address (RFC 5737), as a public address would be that the page's network blocks."""
IPV4_ADDRESS = candidate_ips(bind_addresses=(ANY_ADDRESS,), announced_addresses=())[0]
PATHS = """async () => {
  const addresses = [];
  for (const peer of made.filter((each) => each instanceof RTCPeerConnection && each.connectionState === "connected")) {
    let report, pair;
    // A browser shows which pair it has nominated some time after it is connected.
    while (pair === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      report = await peer.getStats();
      pair = [...report.values()].find(({ type, nominated, state }) =>
        type === "candidate-pair" && nominated && state === "succeeded");
    }
    addresses.push(report.get(pair.remoteCandidateId).address);
  }
  return addresses;
}"""


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 address besides loopback, which browsers do not gather."""
    if not socket.has_ipv6:
        return False
    return not ipaddress.ip_address(candidate_ips(bind_addresses=("::",), announced_addresses=())[0]).is_loopback


@pytest.fixture(params=["IPv6 alone", "both families", "an unreachable address first"])
def families(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of the server."""
    if request.param != "an unreachable address first" and not has_ipv6():
        pytest.skip("the machine has no IPv6 address besides loopback")
    settings: dict[str, dict[str, str]] = {
        "IPv6 alone": {"media_bind": "::"},
        "both families": {"media_bind": f"{ANY_ADDRESS},::"},
        "an unreachable address first": {"media_bind": ANY_ADDRESS, "media_announce": f"{UNREACHABLE},{IPV4_ADDRESS}"},
    }
    return settings[request.param]


@pytest.fixture
def server(families: dict[str, str], tmp_path: Path) -> Iterator[RunningServer]:
    media_bind, media_announce = families["media_bind"], families.get("media_announce", "")
    with run_server(tmp_path / "data", media_bind=media_bind, media_announce=media_announce) as server:
        yield server


async def test_pages_publish_and_watch_at_an_address_that_they_reach(
    server: RunningServer, families: dict[str, str], tabs: ClientTabs
) -> None:
    stage = StageHandle(server)
    publisher, viewer = [await tabs.open((await stage.token())[1]) for _ in range(2)]
    await publisher.join()
    await viewer.join()
    await publisher.publish()
    await viewer.wait_for_event("publishstarted", publisher.participant_id)
    await viewer.subscribe(publisher.participant_id)
    await viewer.wait_for_media(publisher.participant_id)
    for (address,) in [await tab.run(PATHS) for tab in (publisher, viewer)]:
        if families["media_bind"] == "::":
            assert ipaddress.ip_address(address).version == 6
        assert address != UNREACHABLE
    await publisher.leave()
    await viewer.leave()
