"""Replication with real peers: one upload is watched on two stages, and both sessions have the events."""

import asyncio
from typing import Any

import httpx

from tests.clients.events_client import connect_events_client
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle


async def replicate(stage: StageHandle, to: StageHandle, participant_id: str, **request: Any) -> None:  # noqa: ANN401 - boto3's types
    """Start a replication. `request` are further members of StartParticipantReplication."""
    await asyncio.to_thread(
        stage.ivs.start_participant_replication,
        sourceStageArn=stage.arn,
        destinationStageArn=to.arn,
        participantId=participant_id,
        **request,
    )


async def stop_replication(stage: StageHandle, to: StageHandle, participant_id: str) -> None:
    await asyncio.to_thread(
        stage.ivs.stop_participant_replication,
        sourceStageArn=stage.arn,
        destinationStageArn=to.arn,
        participantId=participant_id,
    )


async def raw_events(stage: StageHandle, participant_id: str) -> list[dict[str, Any]]:
    """Return a participant's events in the newest session, oldest first, with all members except the time."""
    response = await stage.call(
        "list_participant_events", sessionId=await stage.session_id(), participantId=participant_id
    )
    return [
        {key: value for key, value in event.items() if key != "eventTime"} for event in reversed(response["events"])
    ]


async def test_one_upload_is_watched_on_two_stages(stage: StageHandle, peers: Peers) -> None:
    other = StageHandle(stage.server)
    publisher_id, publisher_token = await stage.token("PUBLISH", userId="ada", attributes={"role": "host"})
    source_viewer_id, source_viewer_token = await stage.token("SUBSCRIBE")
    destination_viewer_id, destination_viewer_token = await other.token("SUBSCRIBE")
    published = await peers.publisher(publisher_token).start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    async with connect_events_client(destination_viewer_token) as events:
        await replicate(stage, other, publisher_id, attributes={"role": "guest"})
        shown = await events.wait_until(lambda shown: publisher_id in shown)
        assert shown[publisher_id] == {
            "id": publisher_id,
            "userId": "ada",
            "attributes": {"role": "guest"},
            "isPublishing": True,
            "audioMuted": False,
            "videoStopped": False,
        }
        source_viewer = peers.viewer(source_viewer_token, publisher_id=publisher_id)
        await source_viewer.start()
        destination_viewer = peers.viewer(destination_viewer_token, publisher_id=publisher_id)
        await destination_viewer.start()
        for viewer in (source_viewer, destination_viewer):
            await viewer.wait_for_media()
            assert viewer.observer.size == (320, 240)

        await stop_replication(stage, other, publisher_id)
        await source_viewer.wait_for_more_frames()
        await events.wait_until(lambda shown: set(shown) == {destination_viewer_id})

    async with httpx.AsyncClient() as http:
        await http.delete(published.headers["location"], headers={"Authorization": f"Bearer {publisher_token}"})
    destination = {"destinationStageArn": other.arn, "destinationSessionId": await other.session_id()}
    assert await raw_events(stage, publisher_id) == [
        {"name": "JOINED", "participantId": publisher_id},
        {"name": "PUBLISH_STARTED", "participantId": publisher_id},
        {"name": "REPLICATION_STARTED", "participantId": publisher_id, **destination},
        {"name": "REPLICATION_STOPPED", "participantId": publisher_id, **destination},
        {"name": "PUBLISH_STOPPED", "participantId": publisher_id},
        {"name": "LEFT", "participantId": publisher_id},
    ]
    assert await raw_events(other, publisher_id) == [
        {"name": name, "participantId": publisher_id, "replica": True}
        for name in ("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")
    ]
    remote = {"participantId": destination_viewer_id, "remoteParticipantId": publisher_id, "replica": True}
    await other.expect_events(
        destination_viewer_id,
        "JOINED",
        ("SUBSCRIBE_STARTED", publisher_id),
        ("SUBSCRIBE_STOPPED", publisher_id),
        "LEFT",
    )
    assert (await raw_events(other, destination_viewer_id))[1:3] == [
        {"name": "SUBSCRIBE_STARTED", **remote},
        {"name": "SUBSCRIBE_STOPPED", **remote},
    ]
    assert await raw_events(stage, source_viewer_id) == [
        {"name": "JOINED", "participantId": source_viewer_id},
        {"name": "SUBSCRIBE_STARTED", "participantId": source_viewer_id, "remoteParticipantId": publisher_id},
        {"name": "SUBSCRIBE_STOPPED", "participantId": source_viewer_id, "remoteParticipantId": publisher_id},
        {"name": "LEFT", "participantId": source_viewer_id},
    ]


async def test_a_publisher_that_returns_within_the_reconnect_window_is_watched_again(
    stage: StageHandle, peers: Peers
) -> None:
    other = StageHandle(stage.server)
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await other.token()
    previous = peers.publisher(publisher_token)
    await previous.start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    await replicate(stage, other, publisher_id, reconnectWindowSeconds=300)
    first = peers.viewer(viewer_token, publisher_id=publisher_id)
    await first.start()
    await first.wait_for_media()

    await previous.stop()
    waiting = ("JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED")
    await other.expect_events(publisher_id, *waiting)
    await peers.publisher(publisher_token).start()
    await other.expect_events(publisher_id, *waiting, "PUBLISH_STARTED")
    again = peers.viewer(viewer_token, publisher_id=publisher_id)
    await again.start()
    await again.wait_for_media()

    await stop_replication(stage, other, publisher_id)
    watched = ("JOINED", ("SUBSCRIBE_STARTED", publisher_id), ("SUBSCRIBE_STOPPED", publisher_id), "LEFT")
    assert await other.events(viewer_id) == [*watched, *watched]
    assert await other.events(publisher_id) == [*waiting, "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert await stage.events(publisher_id) == [
        "JOINED",
        "PUBLISH_STARTED",
        "REPLICATION_STARTED",
        "PUBLISH_STOPPED",
        "LEFT",
        "JOINED",
        "PUBLISH_STARTED",
        "REPLICATION_STOPPED",
    ]


async def test_a_replacement_connection_keeps_the_viewers_of_the_replica(stage: StageHandle, peers: Peers) -> None:
    other = StageHandle(stage.server)
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await other.token()
    previous = peers.publisher(publisher_token)
    await previous.start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    await replicate(stage, other, publisher_id)
    viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
    await viewer.start()
    await viewer.wait_for_media()

    await peers.publisher(publisher_token).start()
    await previous.stop()
    await viewer.wait_for_more_frames(count=30)

    assert await other.events(viewer_id) == ["JOINED", ("SUBSCRIBE_STARTED", publisher_id)]
    assert await other.events(publisher_id) == ["JOINED", "PUBLISH_STARTED"]
    assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED", "REPLICATION_STARTED"]


async def test_two_stages_replicate_each_other_s_publishers(stage: StageHandle, peers: Peers) -> None:
    other = StageHandle(stage.server)
    ada_id, ada_token = await stage.token()
    bob_id, bob_token = await other.token()
    await peers.publisher(ada_token).start()
    await peers.publisher(bob_token).start()
    await stage.expect_events(ada_id, "JOINED", "PUBLISH_STARTED")
    await other.expect_events(bob_id, "JOINED", "PUBLISH_STARTED")
    await replicate(stage, other, ada_id)
    await replicate(other, stage, bob_id)

    for token, publisher_id in ((ada_token, bob_id), (bob_token, ada_id)):
        viewer = peers.viewer(token, publisher_id=publisher_id)
        await viewer.start()
        await viewer.wait_for_media()

    assert await stage.events(bob_id) == await other.events(ada_id) == ["JOINED", "PUBLISH_STARTED"]
    for of, participant_id, remote_id in ((stage, ada_id, bob_id), (other, bob_id, ada_id)):
        assert (await raw_events(of, participant_id))[-1] == {
            "name": "SUBSCRIBE_STARTED",
            "participantId": participant_id,
            "remoteParticipantId": remote_id,
            "replica": True,
        }
