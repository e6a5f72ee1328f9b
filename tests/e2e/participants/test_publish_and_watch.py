"""Joining, publishing, watching and leaving with real peers, and the events that the book has afterwards."""

import httpx
import pytest

from tests.clients.events_client import connect_events_client
from tests.clients.stage_client import token_payload
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_join_publish_watch_and_leave_by_delete(stage: StageHandle, peers: Peers) -> None:
    publisher_id, publisher_token = await stage.token("PUBLISH", userId="ada", attributes={"role": "host"})
    viewer_id, viewer_token = await stage.token("SUBSCRIBE")
    publisher = peers.publisher(publisher_token)
    published = await publisher.start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
    watched = await viewer.start()
    await viewer.wait_for_media()
    assert viewer.observer.size == (320, 240)
    await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id))

    async with httpx.AsyncClient() as http:
        assert (await http.delete(watched.headers["location"], headers=bearer(viewer_token))).status_code == 200
        # A connection that ended a moment ago counts as ended by the second request too; there is no second event.
        assert (await http.delete(watched.headers["location"], headers=bearer(viewer_token))).status_code == 200
        assert (await http.delete(published.headers["location"], headers=bearer(publisher_token))).status_code == 200
    # The events are durable before the server responds, so no polling is needed.
    assert await stage.events(viewer_id) == [
        "JOINED",
        ("SUBSCRIBE_STARTED", publisher_id),
        ("SUBSCRIBE_STOPPED", publisher_id),
        "LEFT",
    ]
    assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]

    participant = await stage.participant(publisher_id)
    assert (participant["state"], participant["published"], participant["protocol"]) == ("DISCONNECTED", True, "WHIP")
    assert (participant["userId"], participant["attributes"]) == ("ada", {"role": "host"})
    assert participant["browserName"] == "python-httpx"
    assert (await stage.participant(viewer_id))["published"] is False


async def test_a_publisher_leaves_when_it_closes_its_peer_connection(stage: StageHandle, peers: Peers) -> None:
    publisher_id, token = await stage.token()
    publisher = peers.publisher(token)
    await publisher.start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    await publisher.stop()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


async def test_the_global_whip_path_redirects_to_the_stage_s_whip_url(
    server: RunningServer, stage: StageHandle, peers: Peers
) -> None:
    publisher_id, token = await stage.token()
    await peers.publisher(token, whip_url=f"{server.endpoint_url}/").start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")


async def test_a_viewer_s_subscription_stops_with_its_publisher(stage: StageHandle, peers: Peers) -> None:
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    publisher = peers.publisher(publisher_token)
    await publisher.start()
    async with connect_events_client(viewer_token) as events:
        viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
        await viewer.start()
        await viewer.wait_for_media()
        await publisher.stop()
        first_events = ("JOINED", ("SUBSCRIBE_STARTED", publisher_id), ("SUBSCRIBE_STOPPED", publisher_id))
        await stage.expect_events(viewer_id, *first_events)
        await events.wait_until(lambda shown: set(shown) == {viewer_id})
    await stage.expect_events(viewer_id, *first_events, "LEFT")


@pytest.mark.parametrize("takes_changes", [False, True], ids=["lists", "changes"])
async def test_the_events_websocket_shows_all_participants_of_the_stage(
    stage: StageHandle,
    peers: Peers,
    takes_changes: bool,  # noqa: FBT001 - pytest gives it by name
) -> None:
    watcher_id, watcher_token = await stage.token(userId="grace")
    publisher_id, publisher_token = await stage.token(userId="ada", attributes={"role": "host"})
    async with connect_events_client(watcher_token, takes_changes=takes_changes) as events:
        await events.wait_for_type("PONG")
        alone = await events.wait_until(lambda shown: watcher_id in shown)
        unmuted = {"audioMuted": False, "videoStopped": False}
        assert alone[watcher_id] == {
            "id": watcher_id,
            "userId": "grace",
            "attributes": {},
            "isPublishing": False,
            **unmuted,
        }
        publisher = peers.publisher(publisher_token)
        await publisher.start()
        both = await events.wait_until(lambda shown: shown.get(publisher_id, {}).get("isPublishing", False))
        assert both[publisher_id] == {
            "id": publisher_id,
            "userId": "ada",
            "attributes": {"role": "host"},
            "isPublishing": True,
            **unmuted,
        }
        await publisher.stop()
        await events.wait_until(lambda shown: set(shown) == {watcher_id})
        assert ("STAGE_STATE_CHANGE" in events.types) is takes_changes
        assert (events.types.count("STAGE_STATE") == 1) is takes_changes
    await stage.expect_events(watcher_id, "JOINED", "LEFT")


async def test_a_participant_with_a_websocket_and_a_publication_joins_and_leaves_once(
    stage: StageHandle, peers: Peers
) -> None:
    participant_id, token = await stage.token()
    async with connect_events_client(token):
        publisher = peers.publisher(token)
        await publisher.start()
        await publisher.stop()
        await stage.expect_events(participant_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED")
    await stage.expect_events(participant_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


async def test_a_replacement_connection_keeps_the_viewers(stage: StageHandle, peers: Peers) -> None:
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    previous = peers.publisher(publisher_token)
    await previous.start()
    viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
    await viewer.start()
    await viewer.wait_for_media()

    await peers.publisher(publisher_token).start()
    await previous.stop()
    await viewer.wait_for_more_frames(count=30)
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id))


async def test_a_token_of_another_participant_cannot_delete_or_patch_a_connection(
    stage: StageHandle, peers: Peers
) -> None:
    publisher_id, publisher_token = await stage.token()
    _, other_token = await stage.token()
    published = await peers.publisher(publisher_token).start()
    location, etag = published.headers["location"], published.headers["etag"]
    fragment = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": etag}
    async with httpx.AsyncClient() as http:
        assert (await http.delete(location, headers=bearer(other_token))).status_code == 404
        refused = await http.patch(location, content="a=x", headers={**bearer(other_token), **fragment})
        assert refused.status_code == 404
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")


async def test_candidates_of_another_ice_session_are_refused(stage: StageHandle, peers: Peers) -> None:
    _, token = await stage.token()
    publisher = peers.publisher(token)
    published = await publisher.start()
    local = publisher.connection.localDescription.sdp
    prefixes = ("a=ice-ufrag:", "a=ice-pwd:")
    credentials = [next(line for line in local.splitlines() if line.startswith(prefix)) for prefix in prefixes]
    fragment = "\r\n".join([*credentials, "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", "a=end-of-candidates", ""])
    headers = {**bearer(token), "Content-Type": "application/trickle-ice-sdpfrag"}
    async with httpx.AsyncClient() as http:
        for tag, status in ((published.headers["etag"], 204), ('"another"', 412)):
            response = await http.patch(
                published.headers["location"], content=fragment, headers={**headers, "If-Match": tag}
            )
            assert (response.status_code, response.text if status == 204 else "") == (status, "")


async def test_the_token_has_the_endpoints_the_stage_and_the_capabilities(stage: StageHandle) -> None:
    participant_id, token = await stage.token("SUBSCRIBE")
    payload = token_payload(token)
    endpoints = (await _get_stage(stage))["endpoints"]
    assert (payload["whip_url"], payload["events_url"]) == (endpoints["whip"], endpoints["events"])
    assert (payload["jti"], payload["topic"], payload["resource"]) == (participant_id, stage.stage_id, stage.arn)
    assert payload["capabilities"] == {"allow_subscribe": True}


async def _get_stage(stage: StageHandle) -> dict[str, dict[str, str]]:
    shown: dict[str, dict[str, str]] = stage.ivs.get_stage(arn=stage.arn)["stage"]
    return shown
