"""The newest version of the SDK joins, publishes and watches."""

import pytest

from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_tab import SdkTabs, Seen

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_one_tab_publishes_and_another_one_watches(stage: StageHandle, tabs: SdkTabs) -> None:
    _, publisher_token = await stage.token()
    _, viewer_token = await stage.token()
    publisher = await tabs.publisher(publisher_token)
    viewer = await tabs.viewer(viewer_token)
    await viewer.expect((Seen.JOINED, publisher.participant_id))
    await viewer.expect_media(publisher.participant_id)
    await publisher.leave()
    await viewer.expect((Seen.LEFT, publisher.participant_id))
    await viewer.leave()
    await stage.expect_events(publisher.participant_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    await stage.expect_events(
        viewer.participant_id,
        "JOINED",
        ("SUBSCRIBE_STARTED", publisher.participant_id),
        ("SUBSCRIBE_STOPPED", publisher.participant_id),
        "LEFT",
    )
