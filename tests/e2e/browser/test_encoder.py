"""A page watches what encoders publish by RTMP."""

import pytest

from tests.e2e.browser.participants import Participants
from tests.e2e.ingest.commands import GSTREAMER, PUBLISH, VIEWED
from tests.e2e.ingest.ingest_handle import IngestHandle
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "command", [pytest.param(PUBLISH, id="ffmpeg"), pytest.param(GSTREAMER, id="gstreamer", marks=pytest.mark.slow)]
)
async def test_a_page_watches_an_encoder(stage: StageHandle, participants: Participants, command: str) -> None:
    ingest = await IngestHandle.create(stage)
    _, token = await stage.token("SUBSCRIBE")
    viewer = await participants.viewer(token)
    await viewer.watch_events()
    try:
        encoder = await ingest.start(command, variables=VIEWED)
        await ingest.expect_events("JOINED", "PUBLISH_STARTED")
        await viewer.subscribe(ingest.participant_id)
        await viewer.wait_for_video(size=(320, 240))
        await viewer.wait_for_audio()
        await encoder.stop()
        await ingest.expect_events("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    finally:
        await ingest.close()


@pytest.mark.slow
async def test_a_viewer_continues_when_one_of_two_redundant_encoders_stops(
    stage: StageHandle, participants: Participants
) -> None:
    ingest = await IngestHandle.create(stage, redundantIngest=True)
    _, token = await stage.token("SUBSCRIBE")
    viewer = await participants.viewer(token)
    try:
        first, second = [
            await ingest.start(key=credential["streamKey"], variables=VIEWED) for credential in ingest.credentials
        ]
        for credential in ingest.credentials:
            await stage.expect_events(credential["participantId"], "JOINED", "PUBLISH_STARTED")
        await viewer.subscribe(ingest.participant_id)
        await viewer.wait_for_video()
        await first.kill()
        await viewer.wait_for_video(count=30)
        await viewer.wait_for_audio()
        assert second.is_running
        await ingest.expect_events("JOINED", "PUBLISH_STARTED")
    finally:
        await ingest.close()
