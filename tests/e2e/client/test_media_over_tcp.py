"""Media over TCP in both browsers: from the start without UDP, and when UDP is blocked in mid-call.

The pages apply answers without candidates of UDP, or with the port of a relay in place of the server's UDP port.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.client.client_tab import ClientTab, ClientTabs
from tests.e2e.client.conftest import ANY_ADDRESS
from tests.e2e.client.udp_relay import UdpRelay, udp_relay
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.client]

REWRITE = r"""(udpPort) => {
  const apply = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const rewritten = udpPort
      ? sdp.replace(/^(a=candidate:\S+ 1 udp \d+ \S+) \d+/gm, `$1 ${udpPort}`)
      : sdp.replace(/^a=candidate:\S+ 1 udp .*\r\n/gm, "");
    return apply.call(this, { type, sdp: rewritten });
  };
  globalThis.restarts = 0;
  const restart = RTCPeerConnection.prototype.restartIce;
  RTCPeerConnection.prototype.restartIce = function () {
    restarts += 1;
    return restart.call(this);
  };
}"""
PROTOCOLS = """async () => {
  const protocols = [];
  for (const peer of made.filter((each) => each instanceof RTCPeerConnection && each.connectionState === "connected")) {
    let report, pair;
    // A browser shows which pair it has selected some time after it is connected.
    while (pair === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      report = await peer.getStats();
      const entries = [...report.values()];
      const transport = entries.find(({ type }) => type === "transport");
      pair = report.get(transport?.selectedCandidatePairId) ?? entries.find(({ selected }) => selected);
    }
    protocols.push(report.get(pair.localCandidateId).protocol);
  }
  return protocols;
}"""


def udp_port(server: RunningServer) -> int:
    found = re.search(r"UDP port (\d+)", server.log)
    assert found is not None
    return int(found[1])


@pytest_asyncio.fixture(loop_scope="session")
async def relay(server: RunningServer) -> AsyncIterator[UdpRelay]:
    async with udp_relay(ANY_ADDRESS, ("127.0.0.1", udp_port(server))) as relay:
        yield relay


async def call(stage: StageHandle, tabs: ClientTabs, port: int | None) -> tuple[ClientTab, ClientTab]:
    """A publisher and a viewer that reach the UDP port of the server by another port, or not at all."""
    publisher, viewer = [await tabs.open((await stage.token())[1]) for _ in range(2)]
    for tab in (publisher, viewer):
        await tab.run(REWRITE, port)
        await tab.join()
    await publisher.publish()
    await viewer.wait_for_event("publishstarted", publisher.participant_id)
    await viewer.subscribe(publisher.participant_id)
    await viewer.wait_for_media(publisher.participant_id)
    return publisher, viewer


async def expect_events_of_a_call(stage: StageHandle, publisher: ClientTab, viewer: ClientTab) -> None:
    """Let both leave, and check that the book has one publication and one subscription, whatever the path was."""
    await viewer.leave()
    await publisher.leave()
    await stage.expect_events(publisher.participant_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    await stage.expect_events(
        viewer.participant_id,
        "JOINED",
        ("SUBSCRIBE_STARTED", publisher.participant_id),
        ("SUBSCRIBE_STOPPED", publisher.participant_id),
        "LEFT",
    )


async def test_a_page_publishes_and_another_watches_with_udp_blocked(stage: StageHandle, tabs: ClientTabs) -> None:
    publisher, viewer = await call(stage, tabs, None)
    for tab in (publisher, viewer):
        assert await tab.run(PROTOCOLS) == ["tcp"]
    await expect_events_of_a_call(stage, publisher, viewer)


async def check_that_media_goes_over_to_tcp(
    stage: StageHandle, tabs: ClientTabs, relay: UdpRelay, *, blocked_after_seconds: float
) -> None:
    """Block UDP in mid-call. Both sides go on over TCP before the server takes them for gone, which the events show."""
    publisher, viewer = await call(stage, tabs, relay.port)
    for tab in (publisher, viewer):
        assert await tab.run(PROTOCOLS) == ["udp"]
    await asyncio.sleep(blocked_after_seconds)
    relay.is_blocked = True
    started = time.monotonic()
    for tab in (publisher, viewer):
        await tab.wait_until(f"async () => `${{await ({PROTOCOLS})()}}` === 'tcp'")
    await viewer.wait_for_media(publisher.participant_id)
    seconds = time.monotonic() - started
    restarts = [await tab.run("() => restarts") for tab in (publisher, viewer)]
    print(f"over TCP after {seconds:.1f} s, ICE restarts {restarts}")
    await expect_events_of_a_call(stage, publisher, viewer)


async def test_chromium_goes_over_to_tcp_when_udp_is_blocked_after_the_first_minute(
    stage: StageHandle, chromium_tabs: ClientTabs, relay: UdpRelay
) -> None:
    """By then Chromium has given up the pairs that it does not use."""
    await check_that_media_goes_over_to_tcp(stage, chromium_tabs, relay, blocked_after_seconds=60)


async def test_firefox_goes_over_to_tcp_when_udp_is_blocked(
    stage: StageHandle, firefox_tabs: ClientTabs, relay: UdpRelay
) -> None:
    await check_that_media_goes_over_to_tcp(stage, firefox_tabs, relay, blocked_after_seconds=0)
