"""Pages that publish or watch only pictures or only sound."""

import pytest
from playwright.async_api import Error

from tests.e2e.browser.participants import BrowserViewer, Participants
from tests.e2e.participants.stage_handle import StageHandle

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def watch(stage: StageHandle, participants: Participants, publisher_id: str, *kinds: str) -> BrowserViewer:
    _, token = await stage.token("SUBSCRIBE")
    viewer = await participants.viewer(token)
    await viewer.subscribe(publisher_id, kinds=kinds)
    return viewer


async def test_one_kind_alone_is_watched(stage: StageHandle, participants: Participants) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    await publisher.publish()
    listener = await watch(stage, participants, publisher_id, "audio")
    spectator = await watch(stage, participants, publisher_id, "video")
    await listener.wait_for_sound()
    await spectator.wait_for_moving_pictures()


async def test_pictures_are_published_without_sound(stage: StageHandle, participants: Participants) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    await publisher.publish(microphone=False)
    viewer = await watch(stage, participants, publisher_id, "audio", "video")
    await viewer.wait_for_moving_pictures()
    assert (await viewer.stats("inbound-rtp", kind="audio")).get("packetsReceived", 0) == 0


async def test_sound_is_published_beside_an_empty_video_section(stage: StageHandle, participants: Participants) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    await publisher.publish(camera=False, sections=[("video", "sendonly")])
    viewer = await watch(stage, participants, publisher_id, "audio", "video")
    await viewer.wait_for_sound()
    assert await viewer.frames_decoded() == 0


@pytest.mark.parametrize("sections", [[], [("video", "recvonly")]], ids=["no-video", "video-recvonly"])
async def test_an_offer_that_sends_no_video_is_refused(
    stage: StageHandle, participants: Participants, sections: list[tuple[str, str]]
) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    with pytest.raises(Error, match="406 INVALID_VIDEO_CODEC"):
        await publisher.publish(camera=False, sections=sections)
    assert await stage.events(publisher_id) == [("PUBLISH_ERROR", "INVALID_VIDEO_CODEC")]
