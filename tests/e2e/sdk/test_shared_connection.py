"""RealTimeConnection: one tab joins two stages over one websocket."""

import asyncio

import pytest

from tests.clients.backend import Backend
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_tab import SdkTabs, Seen

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sdk]


async def test_two_stages_over_one_connection(stage: StageHandle, tabs: SdkTabs) -> None:
    handles = [stage, StageHandle(stage.server)]
    backend = await asyncio.to_thread(Backend, stage.ivs)
    publishers = [await tabs.publisher((await each.token())[1]) for each in handles]
    tab = await tabs.tab()
    await tab.share(backend.connection_token(stage.arn, "shared"))
    joined = []
    for name, handle in zip(("first", "second"), handles, strict=True):
        joined.append(await tab.publisher((await handle.token())[1], name=name, shares=True))
        await joined[-1].join()
    for handle, publisher, member in zip(handles, publishers, joined, strict=True):
        await member.expect_media(publisher.participant_id)
        await publisher.expect_media(member.participant_id)
        assert await handle.events(publisher.participant_id) == [
            "JOINED",
            "PUBLISH_STARTED",
            ("SUBSCRIBE_STARTED", member.participant_id),
        ]
    assert len(tab.websocket_urls) == 1

    first, second = joined
    await first.leave()
    await publishers[0].expect((Seen.LEFT, first.participant_id))
    assert (await handles[0].events_until_left(first.participant_id))[-1] == "LEFT"
    await second.expect_media(publishers[1].participant_id)
    handles[1].ivs.delete_stage(arn=handles[1].arn)
    await second.expect((Seen.STAGE_LEFT, "stage-deleted"))


async def test_a_revoked_connection_token(stage: StageHandle, tabs: SdkTabs) -> None:
    backend = await asyncio.to_thread(Backend, stage.ivs)
    tab = await tabs.tab()
    await tab.share(backend.connection_token(stage.arn, "revoked"))
    member = await tab.stage((await stage.token())[1], shares=True)
    await member.join()
    stage.ivs.revoke_connection_token(tokenId="revoked")
    await member.expect((Seen.CONNECTION, "disconnected"))
    await stage.expect_events(member.participant_id, "JOINED", "LEFT")
