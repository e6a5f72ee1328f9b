"""Self-signed tokens, their exchange and connection tokens with real peers: what they may, and what the book says."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.clients.backend import Backend
from tests.clients.events_client import EventsClient, events_of
from tests.clients.stage_client import OfferRefusedError, token_payload, wait_for_state
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_of_test import StageOfTest

DEADLINE_SECONDS = 20


@pytest.fixture
async def backend(stage: StageOfTest) -> Backend:
    return await asyncio.to_thread(Backend, stage.ivs)


async def exchange(events: EventsClient, token: str) -> dict[str, Any]:
    """Exchange the token of an events websocket; return the server's answer."""
    answered = len(events.answers)
    await events.socket.send(json.dumps({"type": "EXCHANGE_TOKEN", "token": token}))
    await events.wait_for_answers(answered + 1)
    return events.answers[-1]


async def listed_events(stage: StageOfTest, participant_id: str) -> list[dict[str, Any]]:
    """Return a participant's events as boto3 lists them, oldest first."""
    answer = await stage.call(
        "list_participant_events", sessionId=await stage.session_id(), participantId=participant_id
    )
    return list(reversed(answer["events"]))


async def test_from_viewer_to_host_and_publishing(stage: StageOfTest, backend: Backend, peers: Peers) -> None:
    viewer = backend.token(stage.arn, "P", "SUBSCRIBE", user_id="InitialUser", attributes={"role": "viewer"})
    host = backend.token(
        stage.arn, "P", "SUBSCRIBE", "PUBLISH", user_id="UpdatedUser", attributes={"role": "moderator"}
    )
    async with events_of(viewer) as events:
        with pytest.raises(OfferRefusedError) as caught:
            await peers.publisher(host).start()
        assert (caught.value.status, caught.value.code) == (409, "TOKEN_JTI_IN_USE")
        assert (await exchange(events, host))["type"] == "TOKEN_EXCHANGED"
        await peers.publisher(host).start()
        shown = await events.wait_until(lambda shown: "P" in shown and shown["P"]["isPublishing"])
        assert (shown["P"]["userId"], shown["P"]["attributes"]) == ("UpdatedUser", {"role": "moderator"})
        await stage.expect_events("P", "JOINED", "TOKEN_EXCHANGED", "PUBLISH_STARTED")
    exchanged = (await listed_events(stage, "P"))[1]
    for side, token, capabilities in (
        ("previousToken", viewer, ["SUBSCRIBE"]),
        ("newToken", host, ["PUBLISH", "SUBSCRIBE"]),
    ):
        payload = token_payload(token)
        told = exchanged[side]
        assert told["capabilities"] == capabilities
        assert (told["userId"], told["attributes"]) == (payload["user_id"], payload["attributes"])
        assert told["expirationTime"].timestamp() == payload["exp"]
    found = await stage.call("list_participants", sessionId=await stage.session_id(), filterByUserId="UpdatedUser")
    assert [participant["participantId"] for participant in found["participants"]] == ["P"]
    participant = await stage.participant("P")
    assert (participant["userId"], participant["attributes"]) == ("UpdatedUser", {"role": "moderator"})


async def test_exchanging_publish_away_unpublishes(stage: StageOfTest, backend: Backend, peers: Peers) -> None:
    host = backend.token(stage.arn, "P", "PUBLISH", "SUBSCRIBE")
    viewer_id, viewer_token = await stage.token()
    async with events_of(host) as events:
        publisher = peers.publisher(host)
        await publisher.start()
        await peers.viewer(viewer_token, publisher_id="P").start()
        await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", "P"))
        await exchange(events, backend.token(stage.arn, "P", "SUBSCRIBE"))
        await stage.expect_events("P", "JOINED", "PUBLISH_STARTED", "TOKEN_EXCHANGED", "PUBLISH_STOPPED")
        await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", "P"), ("SUBSCRIBE_STOPPED", "P"), "LEFT")
        await wait_for_state(publisher.connection, "closed", "failed")
        await events.wait_until(lambda shown: not shown["P"]["isPublishing"])
        with pytest.raises(OfferRefusedError) as caught:
            await peers.publisher(host).start()
        assert caught.value.code == "INSUFFICIENT_CAPABILITIES"


async def test_exchanging_subscribe_away_ends_the_subscriptions(
    stage: StageOfTest, backend: Backend, peers: Peers
) -> None:
    publisher_id, publisher_token = await stage.token()
    await peers.publisher(publisher_token).start()
    viewer = backend.token(stage.arn, "V", "SUBSCRIBE")
    async with events_of(viewer) as events:
        watching = peers.viewer(viewer, publisher_id=publisher_id)
        await watching.start()
        await stage.expect_events("V", "JOINED", ("SUBSCRIBE_STARTED", publisher_id))
        await exchange(events, backend.token(stage.arn, "V"))
        await stage.expect_events(
            "V", "JOINED", ("SUBSCRIBE_STARTED", publisher_id), "TOKEN_EXCHANGED", ("SUBSCRIBE_STOPPED", publisher_id)
        )
        await wait_for_state(watching.connection, "closed", "failed")
    await stage.expect_events(
        "V",
        "JOINED",
        ("SUBSCRIBE_STARTED", publisher_id),
        "TOKEN_EXCHANGED",
        ("SUBSCRIBE_STOPPED", publisher_id),
        "LEFT",
    )


async def test_tokens_of_the_server_are_not_exchanged(stage: StageOfTest, backend: Backend) -> None:
    participant_id, token = await stage.token()
    async with events_of(token) as events:
        answer = await exchange(events, backend.token(stage.arn, participant_id, "PUBLISH"))
        assert (answer["type"], answer["payload"]["code"]) == ("EXCHANGE_TOKEN_ERROR", "TOKEN_NOT_EXCHANGEABLE")
        answer = await exchange(events, "nonsense")
        assert answer["payload"]["code"] == "TOKEN_MALFORMED"
        assert await stage.events(participant_id) == ["JOINED"]


async def test_a_deleted_key_lets_nobody_in_and_nobody_out(stage: StageOfTest, backend: Backend, peers: Peers) -> None:
    token = backend.token(stage.arn, "P", "PUBLISH")
    async with events_of(token) as events:
        await peers.publisher(token).start()
        await asyncio.to_thread(stage.ivs.delete_public_key, arn=backend.key.arn)
        with pytest.raises(OfferRefusedError) as caught:
            await peers.publisher(token).start()
        assert (caught.value.status, caught.value.code) == (401, "TOKEN_SIGNATURE")
        answer = await exchange(events, backend.token(stage.arn, "P"))
        assert answer["payload"]["code"] == "TOKEN_SIGNATURE"
        await stage.expect_events("P", "JOINED", "PUBLISH_STARTED")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) + 15 * 24 * 3_600},
        {"iat": int(time.time()) + 3_600, "exp": int(time.time()) + 7_200},
        {"whip_url": "https://global.whip.live-video.net"},
        {"version": "2.0"},
        {"jti": "not an id"},
    ],
    ids=str,
)
async def test_a_token_that_breaks_a_rule_leaves_no_trace(
    stage: StageOfTest, backend: Backend, peers: Peers, changes: dict[str, Any]
) -> None:
    whip_url = (await asyncio.to_thread(stage.ivs.get_stage, arn=stage.arn))["stage"]["endpoints"]["whip"]
    token = backend.token(stage.arn, "P", "PUBLISH", **changes)
    with pytest.raises(OfferRefusedError) as caught:
        await peers.publisher(token, whip_url=whip_url).start()
    assert (caught.value.status, caught.value.code) == (401, "TOKEN_MALFORMED")
    assert await stage.session_id() is None


async def open_events(token: str, connection_token: str) -> ClientConnection:
    payload = token_payload(token)
    protocols = [Subprotocol(token), Subprotocol(f"connection-token.{connection_token}")]
    return await connect(f"{payload['events_url']}/{payload['topic']}", subprotocols=protocols)


async def test_revoking_a_connection_token_ends_what_came_through_it(
    stage: StageOfTest, backend: Backend, peers: Peers
) -> None:
    opener = backend.connection_token(stage.arn, "Mx6clRRHODPy")
    token = backend.token(stage.arn, "P", "PUBLISH")
    socket = await open_events(token, opener)
    assert socket.subprotocol == token
    publisher = peers.publisher(token)
    await publisher.start()
    await stage.expect_events("P", "JOINED", "PUBLISH_STARTED")
    await asyncio.to_thread(stage.ivs.revoke_connection_token, tokenId="Mx6clRRHODPy")
    assert await stage.events("P") == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    async with asyncio.timeout(DEADLINE_SECONDS):
        await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (4003, "CONNECTION_TOKEN_REVOKED")
    await wait_for_state(publisher.connection, "closed", "failed")
    headers = {"Authorization": f"Bearer {token}", "Connection-Token": opener, "Content-Type": "application/sdp"}
    async with httpx.AsyncClient() as http:
        answer = await http.post(token_payload(token)["whip_url"], content="v=0", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "TOKEN_CONNECTION_TOKEN")
    await peers.publisher(token).start()
    await stage.expect_events("P", "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT", "JOINED", "PUBLISH_STARTED")
