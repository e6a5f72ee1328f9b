"""Pages whose address changes in mid-call, as by a NAT that forgets its mapping or a change of the network.

Both publish and watch, so each is followed as a publisher and as a viewer. The connections stay: the book has no
further event, and nobody asks for keyframes over and over.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.client.address_translator import ENGINE_HOST, AddressTranslator, peer_host, running_translator
from tests.e2e.client.client_tab import ClientTab, ClientTabs
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import start_server

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.client,
    pytest.mark.skipif(peer_host() == ENGINE_HOST, reason="the machine has no IPv4 address besides loopback"),
]

CHANGES = 2
KEYFRAME_REQUESTS_PER_CHANGE = 3
KEYFRAME_REQUESTS = """async () => {
  const report = [...(await stage.publication.peer.getStats()).values()];
  return report.filter(({ type, kind }) => type === "outbound-rtp" && kind === "video")
    .reduce((sum, { pliCount, firCount }) => sum + pliCount + (firCount ?? 0), 0);
}"""
PEERS = "() => made.filter((each) => each instanceof RTCPeerConnection).length"


class MovingCall:
    """Two pages behind a translator."""

    def __init__(self, translator: AddressTranslator, stage: StageHandle, tabs: tuple[ClientTab, ClientTab]) -> None:
        self.translator = translator
        self.stage = stage
        self.tabs = tabs

    async def wait_for_media(self) -> None:
        """Wait for more media on both sides."""
        for tab, other in (self.tabs, self.tabs[::-1]):
            await tab.wait_for_media(other.participant_id)


@pytest_asyncio.fixture(loop_scope="session")
async def call(tmp_path: Path, tabs: ClientTabs) -> AsyncIterator[MovingCall]:
    async with running_translator() as translator:
        server = await asyncio.to_thread(
            start_server,
            tmp_path / "data",
            media_bind=ENGINE_HOST,
            media_port=str(translator.port),
            media_announce=translator.host,
        )
        try:
            stage = await asyncio.to_thread(StageHandle, server)
            ann, bob = [await tabs.open((await stage.token())[1]) for _ in range(2)]
            for tab in (ann, bob):
                await tab.join()
                await tab.publish()
            for tab, other in ((ann, bob), (bob, ann)):
                await tab.wait_for_event("publishstarted", other.participant_id)
                await tab.subscribe(other.participant_id)
            call = MovingCall(translator, stage, (ann, bob))
            await call.wait_for_media()
            yield call
        finally:
            await asyncio.to_thread(server.stop)


async def test_media_goes_on_at_the_new_address(call: MovingCall) -> None:
    requests = [await tab.run(KEYFRAME_REQUESTS) for tab in call.tabs]
    for _ in range(CHANGES):
        call.translator.forget_mappings()
        await call.wait_for_media()
    for tab, other, before in zip(call.tabs, call.tabs[::-1], requests, strict=True):
        assert await tab.run(PEERS) == 2
        assert await tab.run(KEYFRAME_REQUESTS) - before <= CHANGES * KEYFRAME_REQUESTS_PER_CHANGE
        assert await call.stage.events(tab.participant_id) == [
            "JOINED",
            "PUBLISH_STARTED",
            ("SUBSCRIBE_STARTED", other.participant_id),
        ]
