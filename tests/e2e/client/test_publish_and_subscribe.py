"""Two tabs on one stage: publish, subscribe, mute, leave; and what the book says."""

import pytest

from tests.e2e.client.client_tab import ClientTabs
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def check_a_conversation(stage: StageHandle, tabs: ClientTabs) -> None:
    """Two participants publish and watch each other, one mutes and leaves."""
    (ann_id, ann_token), (bob_id, bob_token) = [await stage.token(userId=name) for name in ("ann", "bob")]
    ann, bob = await tabs.open(ann_token), await tabs.open(bob_token)
    await ann.join()
    await bob.join()
    await ann.wait_for_event("participantjoined", bob_id)
    await ann.publish()
    await bob.wait_for_event("publishstarted", ann_id)
    await bob.publish()
    await bob.subscribe(ann_id)
    await ann.subscribe(bob_id)
    await bob.wait_for_media(ann_id)
    await ann.wait_for_media(bob_id)

    await ann.run("() => stage.unpublish()")
    await bob.wait_for_event("publishstopped", ann_id)
    await ann.leave()
    await bob.wait_for_event("participantleft", ann_id)
    assert (
        await ann.run("() => made.filter((each) => each.connectionState !== 'closed' && !(each.readyState > 1)).length")
        == 0
    )
    await stage.expect_events(
        ann_id,
        "JOINED",
        "PUBLISH_STARTED",
        ("SUBSCRIBE_STARTED", bob_id),
        "PUBLISH_STOPPED",
        ("SUBSCRIBE_STOPPED", bob_id),
        "LEFT",
    )


async def test_a_conversation_in_chromium(stage: StageHandle, chromium_tabs: ClientTabs) -> None:
    await check_a_conversation(stage, chromium_tabs)


@pytest.mark.client
async def test_a_conversation_in_firefox(stage: StageHandle, firefox_tabs: ClientTabs) -> None:
    await check_a_conversation(stage, firefox_tabs)
