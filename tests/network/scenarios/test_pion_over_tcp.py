"""pion as publisher and as viewer with UDP blocked: the answers that it gets have no candidates of UDP."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.e2e.participants.stage_handle import StageHandle
from tests.network.peers.pion_viewers import PionViewers, pion_viewers

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.network]

FRAMES = 50
DEADLINE_SECONDS = 30


def without_udp(answer: str) -> str:
    return re.sub(r"a=candidate:\S+ 1 udp .*\r\n", "", answer)


async def wait_for_frames(viewers: PionViewers, viewer_id: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await viewers.report())[viewer_id]["video"].frames < FRAMES:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.1)


async def test_pion_publishes_and_watches_with_udp_blocked(stage: StageHandle, pion_program: Path) -> None:
    (publisher_id, publisher_token), (viewer_id, viewer_token) = [await stage.token() for _ in range(2)]
    async with pion_viewers(pion_program) as peers:
        await peers.publish(publisher_token, edit=without_udp)
        await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
        await peers.watch(viewer_token, publisher_id, edit=without_udp)
        await wait_for_frames(peers, viewer_id)
        assert [await peers.protocol(each) for each in (publisher_id, viewer_id)] == ["tcp", "tcp"]
        assert (await peers.report())[viewer_id]["video"].missing == 0
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


async def test_pion_prefers_udp(stage: StageHandle, pion_program: Path) -> None:
    publisher_id, publisher_token = await stage.token()
    async with pion_viewers(pion_program) as peers:
        await peers.publish(publisher_token)
        await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
        assert await peers.protocol(publisher_id) == "udp"
