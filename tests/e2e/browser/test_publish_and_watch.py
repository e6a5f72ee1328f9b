"""One page publishes and another one watches, from another origin; then their events."""

import pytest

from tests.e2e.browser.participants import Participants
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("offered", "sent"),
    [(None, "H264"), *(pytest.param(codec, codec, marks=pytest.mark.slow) for codec in ("VP8", "H264"))],
)
async def test_publish_watch_and_leave(
    stage: StageHandle, participants: Participants, offered: str | None, sent: str
) -> None:
    publisher_id, publisher_token = await stage.token("PUBLISH", userId="ada")
    viewer_id, viewer_token = await stage.token("SUBSCRIBE")
    viewer = await participants.viewer(viewer_token)
    await viewer.watch_events()
    await viewer.wait_for_stage_state({viewer_id: False})

    publisher = await participants.publisher(publisher_token)
    await publisher.publish(codec=offered)
    await viewer.wait_for_stage_state({viewer_id: False, publisher_id: True})
    await viewer.subscribe(publisher_id)
    await viewer.wait_for_video(size=(640, 480))
    await viewer.wait_for_audio()
    received = await viewer.stats("inbound-rtp", kind="video")
    assert (await viewer.stats("codec", id=received["codecId"]))["mimeType"] == f"video/{sent}"

    await viewer.close()
    await publisher.close()
    await viewer.wait_for_stage_state({viewer_id: False})
    await viewer.run("() => events.close()")
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    await stage.expect_events(
        viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id), ("SUBSCRIBE_STOPPED", publisher_id), "LEFT"
    )
    participant = await stage.participant(publisher_id)
    assert participant["browserName"] in {"Chrome", "Headless Chrome"}
    assert participant["osName"] == "Linux"
