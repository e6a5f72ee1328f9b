"""How each version of the SDK learns that the API has ended its participation."""

import pytest

from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_packages import PACKAGES
from tests.e2e.sdk.sdk_tab import SdkStage, SdkTabs, Seen

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.sdk,
    pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.version),
]


async def test_disconnect_participant(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    await stage.call("disconnect_participant", participantId=publisher.participant_id, reason="rude")
    await expect_left(publisher, "participant-disconnected")
    await viewer.expect((Seen.LEFT, publisher.participant_id))
    await stage.expect_events(publisher.participant_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


async def test_delete_stage(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    stage.ivs.delete_stage(arn=stage.arn)
    for each in (publisher, viewer):
        await expect_left(each, "stage-deleted")


async def expect_left(stage: SdkStage, reason: str) -> None:
    """Wait until the SDK has left the stage. The version of 2023 does not know the message, and tries to connect."""
    if await stage.run("'STAGE_LEFT' in IVSBroadcastClient.StageEvents"):
        await stage.expect((Seen.CONNECTION, "connected"), (Seen.CONNECTION, "disconnected"))
        await stage.expect((Seen.STAGE_LEFT, reason))
    else:
        await stage.expect((Seen.CONNECTION, "connected"), (Seen.CONNECTION, "errored"))
