"""Publishers that send audio alone or video alone."""

import pytest

from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle


@pytest.mark.parametrize("video", [None, "inactive"], ids=["no video section", "inactive video"])
async def test_audio_alone_is_published_and_video_may_follow(
    stage: StageHandle, peers: Peers, video: str | None
) -> None:
    publisher_id, publisher_token = await stage.token("PUBLISH")
    viewer_id, viewer_token = await stage.token("SUBSCRIBE")
    await peers.publisher(publisher_token, video=video).start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
    await viewer.start()
    await viewer.wait_until(lambda observer: observer.has_tone)

    await peers.publisher(publisher_token).start()
    await viewer.wait_for_new_media()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id))


async def test_video_alone_is_published_and_a_viewer_stays_when_audio_alone_follows(
    stage: StageHandle, peers: Peers
) -> None:
    publisher_id, publisher_token = await stage.token("PUBLISH")
    viewer_id, viewer_token = await stage.token("SUBSCRIBE")
    await peers.publisher(publisher_token, audio=None).start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
    await viewer.start()
    await viewer.wait_until(lambda observer: observer.has_motion)

    await peers.publisher(publisher_token, video=None).start()
    await viewer.wait_until(lambda observer: observer.has_tone)
    await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id))
