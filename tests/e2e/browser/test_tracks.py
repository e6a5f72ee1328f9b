"""Pages that publish or watch only audio or only video."""

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


@pytest.mark.slow
async def test_a_viewer_can_subscribe_to_audio_or_video_alone(stage: StageHandle, participants: Participants) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    await publisher.publish()
    audio_viewer = await watch(stage, participants, publisher_id, "audio")
    video_viewer = await watch(stage, participants, publisher_id, "video")
    await audio_viewer.wait_for_audio()
    await video_viewer.wait_for_video()


@pytest.mark.slow
async def test_video_can_be_published_without_audio(stage: StageHandle, participants: Participants) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    await publisher.publish(microphone=False)
    viewer = await watch(stage, participants, publisher_id, "audio", "video")
    await viewer.wait_for_video()
    assert (await viewer.stats("inbound-rtp", kind="audio")).get("packetsReceived", 0) == 0


@pytest.mark.slow
async def test_audio_can_be_published_with_a_video_section_that_sends_nothing(
    stage: StageHandle, participants: Participants
) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    await publisher.publish(camera=False, sections=[("video", "sendonly")])
    viewer = await watch(stage, participants, publisher_id, "audio", "video")
    await viewer.wait_for_audio()
    assert await viewer.frames_decoded() == 0


@pytest.mark.parametrize(
    "sections",
    [
        pytest.param([], id="no-video"),
        pytest.param([("video", "recvonly")], id="recvonly", marks=pytest.mark.slow),
        pytest.param([("video", "inactive")], id="inactive", marks=pytest.mark.slow),
    ],
)
async def test_audio_can_be_published_alone(
    stage: StageHandle, participants: Participants, sections: list[tuple[str, str]]
) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    await publisher.publish(camera=False, sections=sections)
    viewer = await watch(stage, participants, publisher_id, "audio", "video")
    await viewer.wait_for_audio()
    assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED"]


async def test_an_offer_that_sends_nothing_is_refused(stage: StageHandle, participants: Participants) -> None:
    publisher_id, token = await stage.token("PUBLISH")
    publisher = await participants.publisher(token)
    await publisher.prepare(sections=[("video", "recvonly")])
    await publisher.run("() => connection.peer.getTransceivers().forEach((one) => { one.direction = 'recvonly'; })")
    with pytest.raises(Error, match="406 INVALID_VIDEO_CODEC"):
        await publisher.open()
    assert await stage.events(publisher_id) == [("PUBLISH_ERROR", "INVALID_VIDEO_CODEC")]
