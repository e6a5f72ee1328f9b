"""`stagebook livekit watch` beside a real LiveKit, with people in Chromium who use LiveKit's own client.

Webhooks are lost for a while, and the server is killed while people come and go.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.room_service import RoomService
from tests.e2e.livekit.livekit_client import open_people
from tests.e2e.livekit.livekit_node import KEY, LiveKitNode, running_node
from tests.e2e.livekit.lossy_webhooks import LossyWebhooks, lossy_webhooks
from tests.e2e.livekit.watching_server import ListedRoom, run_watch, start_watch, wait_until_true

pytestmark = [pytest.mark.livekit, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]

PUBLISHED = ["JOINED", "PUBLISH_STARTED"]
WHOLE = [*PUBLISHED, "PUBLISH_STOPPED", "LEFT"]
SLOW_POLL_SECONDS = 3_600.0
FAST_POLL_SECONDS = 0.5


@pytest.fixture
def webhooks() -> Iterator[LossyWebhooks]:
    with lossy_webhooks() as proxy:
        yield proxy


@pytest.fixture
def node(tmp_path: Path, webhooks: LossyWebhooks) -> Iterator[LiveKitNode]:
    with running_node(tmp_path, webhook_url=webhooks.url) as node:
        yield node


def expect(room: ListedRoom, **events: list[str]) -> None:
    """Wait until these participants have these events, and no others."""
    for user_id, expected in events.items():
        wait_until_true(
            lambda user_id=user_id, expected=expected: room.events(user_id) == expected,  # type: ignore[misc]
            lambda user_id=user_id: (user_id, room.events(user_id)),  # type: ignore[misc]
        )


async def end_room(node: LiveKitNode, name: str) -> None:
    async with httpx.AsyncClient() as client:
        access = LiveKitAccess(KEY, wall_clock=time.time)
        await RoomService(client, url=node.url, access=access).delete_room(name)


async def test_webhooks_alone_tell_the_history(
    tmp_path: Path, node: LiveKitNode, webhooks: LossyWebhooks, browser: Browser
) -> None:
    people = await open_people(browser, url=node.url, key=KEY)
    with run_watch(tmp_path / "data", livekit_url=node.url, key=KEY, poll_seconds=SLOW_POLL_SECONDS) as server:
        webhooks.target_url = server.endpoint_url
        room = ListedRoom(server.client(), "lobby")
        await people.join("lobby", "ann", publishes=True)
        await people.join("lobby", "bob")
        expect(room, ann=PUBLISHED, bob=["JOINED"])
        await people.unpublish("ann")
        await people.leave("ann")
        expect(room, ann=WHOLE)
        await end_room(node, "lobby")
        expect(room, bob=["JOINED", "LEFT"])
        wait_until_true(lambda: "endTime" in room.sessions()[0], room.sessions)
        participants = room.participants()
        assert {name: each["published"] for name, each in participants.items()} == {"ann": True, "bob": False}


async def test_a_killed_server_and_lost_webhooks_leave_a_whole_history(
    tmp_path: Path, node: LiveKitNode, webhooks: LossyWebhooks, browser: Browser
) -> None:
    people = await open_people(browser, url=node.url, key=KEY)
    server = start_watch(tmp_path / "data", livekit_url=node.url, key=KEY, poll_seconds=FAST_POLL_SECONDS)
    try:
        webhooks.target_url = server.endpoint_url
        room = ListedRoom(server.client(), "lobby")
        await people.join("lobby", "ann", publishes=True)
        await people.join("lobby", "bob", publishes=True)
        expect(room, ann=PUBLISHED, bob=PUBLISHED)
        webhooks.target_url = None
        await people.unpublish("bob")
        await people.join("lobby", "carol")
        expect(room, ann=PUBLISHED, bob=[*PUBLISHED, "PUBLISH_STOPPED"], carol=["JOINED"])
        await people.leave("bob")
        expect(room, bob=WHOLE)
        assert webhooks.lost > 0
        session_id = room.sessions()[0]["sessionId"]
    finally:
        server.kill()
    await people.leave("carol")
    await people.join("lobby", "dave", publishes=True)
    with run_watch(tmp_path / "data", livekit_url=node.url, key=KEY, poll_seconds=FAST_POLL_SECONDS) as server:
        webhooks.target_url = server.endpoint_url
        ivs = server.client()
        room = ListedRoom(ivs, "lobby")
        expect(room, ann=PUBLISHED, bob=WHOLE, carol=["JOINED", "LEFT"], dave=PUBLISHED)
        dave = room.participants()["dave"]["participantId"]
        ivs.disconnect_participant(stageArn=room.stage_arn, participantId=dave, reason="the end")
        expect(room, dave=WHOLE)
        await people.leave("ann")
        expect(room, ann=WHOLE)
        assert [each["sessionId"] for each in room.sessions()] == [session_id]
        await end_room(node, "lobby")
        wait_until_true(lambda: "endTime" in room.sessions()[0], room.sessions)
