"""A server with LiveKit as its media engine: the book is complete, whatever becomes of webhooks, nodes and Redis.

Each test reads ListParticipantEvents at its end, and `run_server` checks the rules of the whole book.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from stagebook.media.livekit.livekit_access import LiveKitAccess
from stagebook.media.livekit.room_service import RoomService
from tests.clients.publisher import Publisher
from tests.clients.stage_client import OfferRefusedError
from tests.clients.viewer import Viewer
from tests.e2e.ingest.commands import VIEWED
from tests.e2e.ingest.ingest_handle import IngestHandle
from tests.e2e.ingest.test_error_causes import cause_of, events_of, expect_clean_end
from tests.e2e.livekit.livekit_node import KEY, LiveKitNode, RedisServer, running_cluster, running_node
from tests.e2e.livekit.webhook_relay import RelayMode, WebhookRelay, webhook_relay
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import EventSummary, StageHandle
from tests.e2e.server import RunningServer, run_server

pytestmark = [pytest.mark.livekit, pytest.mark.timeout(240)]

VANISHED_SECONDS = 18.0
"""LiveKit gives a peer up after 15 to 17 s."""
POLLED_SECONDS = 1.5
"""From the lost webhook about the end of a publisher, one of a few, to the time of the event."""
DEAD_NODE_SECONDS = 12.0
REDIS_SECONDS = 30.0
WEBHOOK_SECONDS = 0.05
"""From the arrival of the webhook to the time of the event."""
PUBLISHED = ("JOINED", "PUBLISH_STARTED")
PUBLISHED_AND_LEFT = (*PUBLISHED, "PUBLISH_STOPPED", "LEFT")


@pytest.fixture(scope="module")
def relay() -> Iterator[WebhookRelay]:
    with webhook_relay() as relay:
        yield relay


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, relay: WebhookRelay) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("livekit")
    with (
        running_node(folder, webhook_url=relay.url) as node,
        run_server(folder / "data", config=node.stagebook_config, session_linger_seconds="60") as server,
    ):
        relay.add(server)
        yield server
    assert "level=error" not in server.log, server.log


@pytest.fixture
def stage(server: RunningServer, relay: WebhookRelay) -> Iterator[StageHandle]:
    yield StageHandle(server)
    relay.mode = RelayMode.PASS


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    peers = Peers()
    yield peers
    await peers.close()


class Show:
    """A publisher and its viewer on a stage, with media."""

    publisher: Publisher
    viewer: Viewer
    publisher_id: str
    viewer_id: str

    def __init__(self, stage: StageHandle, peers: Peers) -> None:
        self._stage = stage
        self._peers = peers

    async def start(self) -> None:
        """Publish and watch, until the media is there."""
        self.publisher_id, token = await self._stage.token("PUBLISH")
        self.publisher = self._peers.publisher(token)
        self.published = await self.publisher.start()
        await self._stage.expect_events(self.publisher_id, *PUBLISHED)
        self.viewer_id, token = await self._stage.token("SUBSCRIBE")
        self.viewer = self._peers.viewer(token, publisher_id=self.publisher_id)
        self.watched = await self.viewer.start()
        await self.viewer.wait_for_media()
        await self._stage.expect_events(self.viewer_id, *self.watching)

    @property
    def watching(self) -> tuple[EventSummary, ...]:
        """The events of the viewer while it watches."""
        return "JOINED", ("SUBSCRIBE_STARTED", self.publisher_id)

    async def expect_end(self) -> None:
        """Both have left, with each event once."""
        await self._stage.expect_events(self.publisher_id, *PUBLISHED_AND_LEFT)
        stopped = ("SUBSCRIBE_STOPPED", self.publisher_id)
        await self._stage.expect_events(self.viewer_id, *self.watching, stopped, "LEFT")

    async def expect_loss(self) -> None:
        """Both have lost their connections to the media server, with the error of that."""
        error = "INTERNAL_SERVER_EXCEPTION"
        lost = ("PUBLISH_ERROR", error), "PUBLISH_STOPPED", "LEFT"
        await self._stage.expect_events(self.publisher_id, *PUBLISHED, *lost)
        viewer = await self._stage.events_until_left(self.viewer_id)
        assert viewer[: len(self.watching)] == list(self.watching)

    async def leave(self) -> None:
        """Both end their connections as clients do."""
        async with httpx.AsyncClient() as http:
            for response, token in ((self.watched, self.viewer.token), (self.published, self.publisher.token)):
                headers = {"Authorization": f"Bearer {token}"}
                assert (await http.delete(response.headers["location"], headers=headers)).status_code == 200


@pytest.fixture
async def show(stage: StageHandle, peers: Peers) -> Show:
    return Show(stage, peers)


async def event_times(stage: StageHandle, participant_id: str) -> dict[str, float]:
    """The times of a participant's events in seconds since 1970, by name."""
    session_id = await stage.session_id()
    listed = await stage.call("list_participant_events", sessionId=session_id, participantId=participant_id)
    return {event["name"]: event["eventTime"].timestamp() for event in listed["events"]}


async def test_a_publisher_is_connected_as_soon_as_the_webhook_says_so(
    stage: StageHandle, peers: Peers, relay: WebhookRelay
) -> None:
    delays: list[float] = []
    for _ in range(4):
        publisher_id, token = await stage.token("PUBLISH")
        await peers.publisher(token).start()
        await stage.expect_events(publisher_id, *PUBLISHED)
        started = (await event_times(stage, publisher_id))["PUBLISH_STARTED"]
        joins = [at for body, at in relay.passed if json.loads(body)["event"] == "participant_joined"]
        delays.append(started - joins[-1])
    print(f"PUBLISH_STARTED after the webhook: {[round(1000 * each) for each in delays]} ms")
    # One undisturbed run proves that nothing in the way of a webhook waits.
    assert min(delays) < WEBHOOK_SECONDS, delays


async def test_nothing_depends_on_webhooks(show: Show, relay: WebhookRelay) -> None:
    relay.mode = RelayMode.LOSE
    await show.start()
    # Longer than the 30 s for which LiveKit sends a webhook again would prove no more: none arrives.
    await show.viewer.wait_for_more_frames()
    await show.leave()
    await show.expect_end()


async def test_a_vanished_publisher_is_found_without_webhooks(
    stage: StageHandle, show: Show, relay: WebhookRelay
) -> None:
    await show.start()
    relay.mode = RelayMode.LOSE
    vanished_at = time.time()
    await show.publisher.stop()
    await stage.expect_events(show.publisher_id, *PUBLISHED_AND_LEFT)
    left_after = (await event_times(stage, show.publisher_id))["LEFT"] - vanished_at
    polled_after = vanished_at + left_after - max(at for body, at in relay.lost if '"participant_left"' in body)
    print(f"LEFT of a vanished publisher after {left_after:.1f} s, {polled_after:.2f} s after the webhook")
    assert left_after < VANISHED_SECONDS
    assert polled_after < POLLED_SECONDS


async def test_doubled_and_reordered_webhooks_change_nothing(show: Show, relay: WebhookRelay) -> None:
    relay.mode = RelayMode.DOUBLE_AND_REORDER
    await show.start()
    await show.leave()
    await show.expect_end()


async def test_an_encoder_is_watched_and_leaves(stage: StageHandle, peers: Peers) -> None:
    ingest = await IngestHandle.create(stage)
    try:
        encoder = await ingest.start(variables=VIEWED)
        await ingest.expect_events(*PUBLISHED)
        _, token = await stage.token("SUBSCRIBE")
        viewer = peers.viewer(token, publisher_id=ingest.participant_id)
        await viewer.start()
        await viewer.wait_until(lambda observer: observer.video_frames > 30 and observer.size == (320, 240))
        await encoder.stop()
        await ingest.expect_events(*PUBLISHED_AND_LEFT)
    finally:
        await ingest.close()


@pytest.mark.parametrize("code", ["B_FRAME_PRESENT", "RESOLUTION_EXCEEDED", "BITRATE_EXCEEDED"])
async def test_the_limits_of_encoders_hold(stage: StageHandle, code: str) -> None:
    """The ingest process reads the stream before LiveKit gets it."""
    ingest = await IngestHandle.create(stage)
    try:
        cause = cause_of(code)
        encoder = await ingest.start(cause.command)
        await ingest.expect_events(*events_of(cause))
        await expect_clean_end(encoder, code)
    finally:
        await ingest.close()


async def test_a_dead_node_ends_its_connections_within_12_s(tmp_path: Path, peers: Peers, relay: WebhookRelay) -> None:
    with (
        running_node(tmp_path, webhook_url=relay.url) as node,
        run_server(tmp_path / "data", config=node.stagebook_config, session_linger_seconds="60") as server,
    ):
        relay.add(server)
        stage = StageHandle(server)
        show = Show(stage, peers)
        await show.start()
        died_at = time.time()
        node.kill()
        await show.expect_loss()
        times = await event_times(stage, show.publisher_id)
        print(f"LEFT after the death of the node: {times['LEFT'] - died_at:.1f} s")
        assert times["LEFT"] - died_at < DEAD_NODE_SECONDS
        assert livekit_state(server) == "unreachable"


def livekit_state(server: RunningServer) -> str:
    """Return what `/health` says of LiveKit."""
    state: str = httpx.get(f"{server.endpoint_url}/health").json()["livekit"]["state"]
    return state


async def expect_state(server: RunningServer, expected: str) -> None:
    """Wait until `/health` says this of LiveKit."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(livekit_state, server) != expected:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.2)


async def survive_outage(redis: RedisServer, node: LiveKitNode, show: Show, stage: StageHandle, peers: Peers) -> None:
    """Redis does not run for REDIS_SECONDS. The media continues, and only what is ended by a request ends."""
    kicked_id, token = await stage.token("SUBSCRIBE")
    kicked = peers.viewer(token, publisher_id=show.publisher_id)
    await kicked.start()
    await kicked.wait_for_media()
    async with httpx.AsyncClient() as client:
        service = RoomService(client, url=node.url, access=LiveKitAccess(KEY, wall_clock=time.time))
        (room,) = await service.list_rooms()
        account_id = stage.arn.split(":")[4]
        assert room.name.startswith(f"sb.{account_id}.")
        assert len(await service.list_participants(room.name)) == 3
    redis.kill()
    killed_at = time.monotonic()
    await expect_state(stage.server, "failing")
    _, token = await stage.token("PUBLISH")
    with pytest.raises(OfferRefusedError) as refused:
        await peers.publisher(token).start()
    assert refused.value.status == 503
    await stage.call("disconnect_participant", participantId=kicked_id)
    await asyncio.sleep(killed_at + REDIS_SECONDS - time.monotonic())
    await show.viewer.wait_for_more_frames()
    redis.start()
    await expect_state(stage.server, "reachable")
    async with httpx.AsyncClient() as client, asyncio.timeout(30):
        service = RoomService(client, url=node.url, access=LiveKitAccess(KEY, wall_clock=time.time))
        while len(await service.list_participants(room.name)) != 2:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.2)
    await show.viewer.wait_for_more_frames(90)
    assert await stage.events(show.publisher_id) == list(PUBLISHED)
    assert await stage.events(show.viewer_id) == list(show.watching)


async def test_a_cluster_survives_an_outage_of_redis_and_the_death_of_a_node(
    tmp_path: Path, peers: Peers, relay: WebhookRelay
) -> None:
    with (
        running_cluster(tmp_path, webhook_url=relay.url) as (nodes, redis),
        run_server(tmp_path / "data", config=nodes[0].stagebook_config, session_linger_seconds="60") as server,
    ):
        relay.add(server)
        stage = StageHandle(server)
        show = Show(stage, peers)
        await show.start()
        await survive_outage(redis, nodes[0], show, stage, peers)
        later = Show(stage, peers)
        await later.start()
        # The server knows the first node's address. The rooms of the other one end with it.
        nodes[1].kill()
        died_at = time.time()
        await asyncio.sleep(DEAD_NODE_SECONDS)
        for each in (show, later):
            times = await event_times(stage, each.publisher_id)
            assert "LEFT" not in times or times["LEFT"] - died_at < DEAD_NODE_SECONDS
        last = Show(stage, peers)
        await last.start()
        await last.leave()
        await last.expect_end()
