"""A page watches and hears what an encoder publishes by RTMP."""

import pytest

from tests.e2e.browser.participants import Participants
from tests.e2e.ingest.commands import GSTREAMER, PUBLISH, VIEWED
from tests.e2e.ingest.ingest_of_test import IngestOfTest
from tests.e2e.join.stage_of_test import StageOfTest

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("command", [PUBLISH, GSTREAMER], ids=["ffmpeg", "gstreamer"])
async def test_a_page_watches_an_encoder(stage: StageOfTest, participants: Participants, command: str) -> None:
    ingest = await IngestOfTest.make(stage)
    _, token = await stage.token("SUBSCRIBE")
    viewer = await participants.viewer(token)
    await viewer.watch_events()
    try:
        encoder = await ingest.start(command, variables=VIEWED)
        await ingest.expect_events("JOINED", "PUBLISH_STARTED")
        await viewer.subscribe(ingest.participant_id)
        await viewer.wait_for_moving_pictures(size=(320, 240))
        await viewer.wait_for_sound()
        await encoder.stop()
        await ingest.expect_events("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    finally:
        await ingest.close()
