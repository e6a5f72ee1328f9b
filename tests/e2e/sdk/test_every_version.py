"""What an application needs most, with each version of the SDK: media, mute, other tracks, unpublishing, the end."""

import pytest

from tests.e2e.participants.stage_handle import EventSummary, StageHandle
from tests.e2e.sdk.sdk_packages import PACKAGES
from tests.e2e.sdk.sdk_tab import SdkStage, SdkTabs, Seen

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.sdk,
    pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.version),
]


async def test_two_publishers_and_a_viewer(stage: StageHandle, tabs: SdkTabs) -> None:
    ada, ben = [
        await tabs.publisher((await stage.token(userId=name, attributes={"name": name}))[1]) for name in ("ada", "ben")
    ]
    viewer = await tabs.viewer((await stage.token("SUBSCRIBE", userId="eve"))[1])
    for watcher, publisher, name in [(ada, ben, "ben"), (ben, ada, "ada"), (viewer, ada, "ada"), (viewer, ben, "ben")]:
        await watcher.expect_media(publisher.participant_id)
        assert await watcher.info(publisher.participant_id, "userId", "attributes") == [name, {"name": name}]
    # A viewer is no participant to the others.
    assert await participants_of(ada) == {ben.participant_id}
    assert await participants_of(viewer) == {ada.participant_id, ben.participant_id}

    for each in (ada, ben, viewer):
        await each.leave()
    for each, published, watched in [(ada, True, {ben}), (ben, True, {ada}), (viewer, False, {ada, ben})]:
        events = await stage.events_until_left(each.participant_id)
        started, stopped = (kinds(end, published=published, watched=watched) for end in ("STARTED", "STOPPED"))
        assert (events[0], {*events[1:3]}, {*events[3:-1]}, events[-1]) == ("JOINED", started, stopped, "LEFT")


async def test_mute_and_unmute(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    publisher_id = publisher.participant_id
    assert await viewer.info(publisher_id, "audioMuted", "videoStopped") == [False, False]
    for muted in (True, False):
        for kind, member in (("audio", "audioMuted"), ("video", "videoStopped")):
            await viewer.forget()
            await publisher.run("recorder.local(argument[0]).setMuted(argument[1])", [kind, muted])
            await viewer.expect((Seen.MUTE_CHANGED, publisher_id, kind))
            assert await viewer.info(publisher_id, member) == [muted]
    await viewer.expect_media(publisher_id)
    late = await tabs.viewer((await stage.token())[1])
    await late.expect_media(publisher_id)
    assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED"]


async def test_the_state_of_mute_at_the_arrival(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    await publisher.run("recorder.local('audio').setMuted(true)")
    await viewer.expect((Seen.MUTE_CHANGED, publisher.participant_id, "audio"))
    late = await tabs.viewer((await stage.token())[1])
    await late.expect_video(publisher.participant_id)
    assert await late.info(publisher.participant_id, "audioMuted", "videoStopped") == [True, False]
    assert await late.run("recorder.stream(argument, 'audio').isMuted", publisher.participant_id)


async def test_another_picture_in_place_of_the_camera(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    await viewer.expect_video(publisher.participant_id, size=(640, 360))
    await publisher.run("recorder.replaceCamera()")
    await viewer.expect_video(publisher.participant_id, size=(320, 180))
    await viewer.expect_audio(publisher.participant_id)


async def test_unpublish_and_publish_again(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    publisher_id = publisher.participant_id
    await viewer.forget()
    await publisher.change(publishes=False)
    await viewer.expect((Seen.STREAMS_REMOVED, publisher_id))
    await viewer.expect((Seen.LEFT, publisher_id))
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED")
    await viewer.forget()
    await publisher.change(publishes=True)
    await viewer.expect((Seen.JOINED, publisher_id), (Seen.STREAMS_ADDED, publisher_id))
    await viewer.expect_media(publisher_id)
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "PUBLISH_STARTED")
    started, stopped = (("SUBSCRIBE_STARTED", publisher_id), ("SUBSCRIBE_STOPPED", publisher_id))
    assert await stage.events(viewer.participant_id) == ["JOINED", started, stopped, started]


async def test_statistics(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    await viewer.expect_media(publisher.participant_id)
    types = "[...(await {}.getStats()).values()].map(({{ type }}) => type)"
    assert "outbound-rtp" in await publisher.run(types.format("recorder.local('video')"))
    assert "inbound-rtp" in await viewer.run(
        types.format("recorder.stream(argument, 'video')"), publisher.participant_id
    )


async def test_leave_and_join_again(stage: StageHandle, tabs: SdkTabs) -> None:
    publisher, viewer = await tabs.publisher_and_viewer(stage)
    once = ["JOINED", "PUBLISH_STARTED"]
    await publisher.leave()
    await viewer.expect((Seen.LEFT, publisher.participant_id))
    await stage.expect_events(publisher.participant_id, *once, "PUBLISH_STOPPED", "LEFT")
    await viewer.forget()
    await publisher.join()
    await viewer.expect((Seen.JOINED, publisher.participant_id))
    await viewer.expect_media(publisher.participant_id)
    await stage.expect_events(publisher.participant_id, *once, "PUBLISH_STOPPED", "LEFT", *once)


def kinds(end: str, *, published: bool, watched: set[SdkStage]) -> set[EventSummary]:
    """Return the events of all starts, or of all ends. The SDK publishes and subscribes at the same time."""
    own: set[EventSummary] = {f"PUBLISH_{end}"} if published else set()
    return own | {(f"SUBSCRIBE_{end}", each.participant_id) for each in watched}


async def participants_of(stage: SdkStage) -> set[str]:
    """Return the remote participants of whom the SDK has told the application."""
    return set(await stage.run("[...recorder.participants.keys()]"))
