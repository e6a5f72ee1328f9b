"""What a tab asks of the others' media: nothing, audio, audio and video, and changes of that by the strategy."""

import pytest

from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.sdk.sdk_tab import SdkTabs, Seen

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sdk]


async def test_the_strategy_changes_the_type_of_a_subscription(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher = await tabs.publisher((await stage.token())[1])
    publisher_id = publisher.participant_id
    viewer = await tabs.viewer((await stage.token())[1], subscribes="none")
    await viewer.expect((Seen.JOINED, publisher_id))
    assert await stage.events(viewer.participant_id) == ["JOINED"]

    await viewer.change(subscribes="audio_only")
    await viewer.expect((Seen.STREAMS_ADDED, publisher_id, ["audio"]))
    await viewer.expect_audio(publisher_id)
    await viewer.change(subscribes="audio_video")
    await viewer.expect((Seen.STREAMS_ADDED, publisher_id, ["video"]))
    await viewer.expect_media(publisher_id)
    await viewer.change(subscribes="none")
    await viewer.expect((Seen.STREAMS_REMOVED, publisher_id, ["audio", "video"]))
    started, stopped = (("SUBSCRIBE_STARTED", publisher_id), ("SUBSCRIBE_STOPPED", publisher_id))
    await stage.expect_events(viewer.participant_id, "JOINED", started, stopped)


async def test_a_subscriber_of_some_participants(stage: StageHandle, tabs: SdkTabs) -> None:
    publishers = [await tabs.publisher((await stage.token())[1]) for _ in range(2)]
    first, second = [publisher.participant_id for publisher in publishers]
    viewer = await tabs.viewer((await stage.token())[1], subscribes={first: "audio_video"})
    await viewer.expect((Seen.JOINED, first))
    await viewer.expect((Seen.JOINED, second))
    await viewer.expect_media(first)
    assert await stage.events(viewer.participant_id) == ["JOINED", ("SUBSCRIBE_STARTED", first)]


async def test_sei_messages(stage: StageHandle, tabs: SdkTabs) -> None:
    in_band = {"inBandMessaging": {"enabled": True}}
    publisher = await tabs.publisher((await stage.token())[1], video=in_band)
    viewer = await tabs.viewer((await stage.token())[1], subscribeConfiguration=in_band)
    await viewer.expect_video(publisher.participant_id)
    await publisher.run("await recorder.local('video').insertSeiMessage(new TextEncoder().encode(argument))", "cue 1")
    await viewer.wait_until("recorder.messages.includes(argument)", "cue 1")


async def test_quality_statistics(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    for kind in ("audio", "video"):
        assert await publisher.run("(await recorder.local(argument).requestQualityStats()).length", kind)
        received = "(await recorder.stream(argument[0], argument[1]).requestQualityStats()).length"
        assert await viewer.run(received, [publisher.participant_id, kind])
    types = "[...(await recorder.local('video').requestRTCStats()).values()].map(({ type }) => type)"
    assert "outbound-rtp" in await publisher.run(types)


async def test_get_participant_shows_the_software(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    for each in (publisher, viewer):
        shown = await stage.participant(each.participant_id)
        assert shown["sdkVersion"] == tabs.package.version
        assert shown["browserName"] in {"Chrome", "Headless Chrome"}
        assert shown["osName"] == "Linux"
