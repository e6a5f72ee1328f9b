"""Real WebRTC peers and participants without media on one stage."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from stagebook.media.simulated.simulated_offer import SimulatedOffer
from tests.clients.events_client import connect_events_client
from tests.clients.publisher import Publisher
from tests.clients.stage_client import token_payload, wait_for_state
from tests.clients.viewer import Viewer
from tests.e2e.server import Client
from tests.e2e.testing.controlled_server import ControlledServer
from tests.e2e.testing.simulated_peers import named, participant


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_a_participant_without_media_watches_a_real_publisher(
    peer_server: ControlledServer, ivs: Client, stage_arn: str, stack: AsyncExitStack
) -> None:
    token = ivs.create_participant_token(stageArn=stage_arn)["participantToken"]
    real, simulated = Publisher(token["token"]), participant(peer_server, stage_arn)
    stack.push_async_callback(real.stop)
    response = await real.start()

    assert simulated.do("subscribe", to=token["participantId"]) == ["JOINED", "SUBSCRIBE_STARTED"]
    assert simulated.state()["subscribedTo"] == [token["participantId"]]

    async with httpx.AsyncClient() as http:
        await http.delete(response.headers["location"], headers={"Authorization": f"Bearer {token['token']}"})
    # Its subscription was its only connection, so it has left with the publisher.
    state = simulated.state()
    assert (state["state"], state["subscribedTo"], state["leftCause"]) == ("DISCONNECTED", [], "publisher_stopped")
    listed = ivs.list_participant_events(
        stageArn=stage_arn, sessionId=state["sessionId"], participantId=simulated.participant_id
    )
    assert named(listed["events"][::-1]) == ["JOINED", "SUBSCRIBE_STARTED", "SUBSCRIBE_STOPPED", "LEFT"]


async def test_real_viewers_watch_a_publisher_without_media_and_see_its_end(
    peer_server: ControlledServer, ivs: Client, stage_arn: str, stack: AsyncExitStack
) -> None:
    simulated = participant(peer_server, stage_arn)
    simulated.do("publish")
    tokens = [ivs.create_participant_token(stageArn=stage_arn)["participantToken"]["token"] for _ in range(2)]
    viewers = [Viewer(token, publisher_id=simulated.participant_id) for token in tokens]
    for viewer in viewers:
        stack.push_async_callback(viewer.stop)
        await viewer.start()

    simulated.do("unpublish")
    for viewer in viewers:
        await wait_for_state(viewer.connection, "failed", "closed")


async def test_a_real_events_websocket_shows_participants_without_media(
    peer_server: ControlledServer, ivs: Client, stage_arn: str
) -> None:
    token = ivs.create_participant_token(stageArn=stage_arn)["participantToken"]["token"]
    simulated = participant(peer_server, stage_arn, userId="ann", attributes={"role": "host"})
    async with connect_events_client(token) as events:
        simulated.do("join")
        simulated.do("publish")
        simulated.do("mute", audioMuted=True)
        await events.wait_until(lambda shown: shown.get(simulated.participant_id, {}).get("audioMuted") is True)
        simulated.do("lose-connection")
        await events.wait_until(lambda shown: simulated.participant_id not in shown)


async def test_a_whip_client_cannot_offer_no_media(ivs: Client, stage_arn: str) -> None:
    token = ivs.create_participant_token(stageArn=stage_arn)["participantToken"]["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient() as http:
        for offer in SimulatedOffer:
            response = await http.post(token_payload(token)["whip_url"], content=offer.value, headers=headers)
            assert response.status_code == 400
    assert ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"] == []
