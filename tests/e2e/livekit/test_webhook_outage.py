"""Webhooks that are answered by errors for longer than LiveKit repeats them, and a LiveKit that has lost everything.

Both servers, with LiveKit as the media engine and watching one, hear of the same LiveKit.
"""

import asyncio
import time
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from tests.e2e.livekit.livekit_client import open_people
from tests.e2e.livekit.livekit_node import KEY, running_cluster, running_node
from tests.e2e.livekit.test_livekit_stages import PUBLISHED, PUBLISHED_AND_LEFT
from tests.e2e.livekit.watching_server import ListedRoom, run_watch, wait_until_true
from tests.e2e.livekit.webhook_relay import RelayMode, webhook_relay
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import run_server

pytestmark = [pytest.mark.livekit, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]

OUTAGE_SECONDS = 40.0
POLL_SECONDS = 1.0


async def test_webhooks_that_fail_for_40_s_lose_nothing(tmp_path: Path, browser: Browser) -> None:
    peers = Peers()
    with (
        webhook_relay() as relay,
        running_node(tmp_path, webhook_url=relay.url) as node,
        run_server(tmp_path / "engine", config=node.stagebook_config, session_linger_seconds="60") as engine,
        run_watch(tmp_path / "watch", livekit_url=node.url, key=KEY, poll_seconds=POLL_SECONDS) as watch,
    ):
        for server in (engine, watch):
            relay.add(server)
        people = await open_people(browser, url=node.url, key=KEY)
        stage, room = StageHandle(engine), ListedRoom(watch.client(), "lobby")
        await people.join("lobby", "ann", publishes=True)
        before_id, token = await stage.token("PUBLISH")
        before = peers.publisher(token)
        await before.start()
        relay.mode, began_at = RelayMode.FAIL, time.monotonic()
        await people.join("lobby", "bob")
        await people.leave("ann")
        publisher_id, token = await stage.token("PUBLISH")
        await peers.publisher(token).start()
        viewer_id, token = await stage.token("SUBSCRIBE")
        viewer = peers.viewer(token, publisher_id=publisher_id)
        await viewer.start()
        await viewer.wait_for_media()
        await before.stop()
        await asyncio.sleep(began_at + OUTAGE_SECONDS - time.monotonic())
        assert relay.failed > 0
        relay.mode = RelayMode.PASS
        await people.join("lobby", "carol")
        await stage.expect_events(before_id, *PUBLISHED_AND_LEFT)
        await stage.expect_events(publisher_id, *PUBLISHED)
        await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id))
        expected = {"ann": list(PUBLISHED_AND_LEFT), "bob": ["JOINED"], "carol": ["JOINED"]}
        await asyncio.to_thread(expect_room, room, expected)
        await peers.close()


def expect_room(room: ListedRoom, expected: dict[str, list[str]]) -> None:
    """Wait until the room's participants have these events, and no others."""

    def events() -> dict[str, list[str]]:
        return {name: room.events(name) for name in room.participants()}

    wait_until_true(lambda: events() == expected, events)


async def test_a_livekit_that_has_lost_everything_leaves_no_session_open(tmp_path: Path, browser: Browser) -> None:
    with (
        running_cluster(tmp_path, webhook_url="http://127.0.0.1:9/", nodes=1, keeps_data=False) as ((node,), redis),
        run_watch(tmp_path / "watch", livekit_url=node.url, key=KEY, poll_seconds=POLL_SECONDS) as watch,
    ):
        people = await open_people(browser, url=node.url, key=KEY)
        room = ListedRoom(watch.client(), "lobby")
        await people.join("lobby", "ann", publishes=True)
        await asyncio.to_thread(expect_room, room, {"ann": list(PUBLISHED)})
        node.kill()
        redis.kill()
        await asyncio.to_thread(expect_livekit, watch.endpoint_url, "unreachable")
        # Nothing ends while it is not known what has become of the room.
        assert room.events("ann") == list(PUBLISHED)
        await people.leave("ann")
        redis.start()
        node.start()
        await asyncio.to_thread(expect_room, room, {"ann": list(PUBLISHED_AND_LEFT)})
        await asyncio.to_thread(wait_until_true, lambda: "endTime" in room.sessions()[0], room.sessions)
        await asyncio.to_thread(expect_livekit, watch.endpoint_url, "reachable")


def expect_livekit(endpoint_url: str, state: str) -> None:
    """Wait until `/health` says this of LiveKit."""

    def health() -> dict[str, object]:
        answer: dict[str, object] = httpx.get(f"{endpoint_url}/health").json()
        return answer

    def holds() -> bool:
        livekit = health()["livekit"]
        return isinstance(livekit, dict) and livekit["state"] == state

    wait_until_true(holds, health)
