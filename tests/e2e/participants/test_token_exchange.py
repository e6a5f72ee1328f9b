"""Self-signed tokens, token exchange and connection tokens with real peers, and the events in the book."""

import asyncio
import json
import time
from typing import Any

import httpx
import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.clients.backend import Backend
from tests.clients.events_client import EventsClient, connect_events_client
from tests.clients.stage_client import OfferRefusedError, token_payload, wait_for_state
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle

DEADLINE_SECONDS = 20


@pytest.fixture
async def backend(stage: StageHandle) -> Backend:
    """An application backend with an imported key of its own, which signs tokens."""
    return await asyncio.to_thread(Backend, stage.ivs)


async def exchange(events: EventsClient, token: str) -> dict[str, Any]:
    """Send EXCHANGE_TOKEN on an events websocket and return the server's answer."""
    answered = len(events.exchange_replies)
    await events.socket.send(json.dumps({"type": "EXCHANGE_TOKEN", "token": token}))
    await events.wait_for_exchange_replies(answered + 1)
    return events.exchange_replies[-1]


async def listed_events(stage: StageHandle, participant_id: str) -> list[dict[str, Any]]:
    """Return a participant's events as boto3 lists them, oldest first."""
    answer = await stage.call(
        "list_participant_events", sessionId=await stage.session_id(), participantId=participant_id
    )
    return list(reversed(answer["events"]))


async def test_a_viewer_publishes_after_an_exchange(stage: StageHandle, backend: Backend, peers: Peers) -> None:
    viewer = backend.token(stage.arn, "P", "SUBSCRIBE", user_id="InitialUser", attributes={"role": "viewer"})
    host = backend.token(
        stage.arn, "P", "SUBSCRIBE", "PUBLISH", user_id="UpdatedUser", attributes={"role": "moderator"}
    )
    async with connect_events_client(viewer) as events:
        with pytest.raises(OfferRefusedError) as raised:
            await peers.publisher(host).start()
        assert (raised.value.status, raised.value.code) == (409, "TOKEN_JTI_IN_USE")
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
        recorded = exchanged[side]
        assert recorded["capabilities"] == capabilities
        assert (recorded["userId"], recorded["attributes"]) == (payload["user_id"], payload["attributes"])
        assert recorded["expirationTime"].timestamp() == payload["exp"]
    found = await stage.call("list_participants", sessionId=await stage.session_id(), filterByUserId="UpdatedUser")
    assert [participant["participantId"] for participant in found["participants"]] == ["P"]
    participant = await stage.participant("P")
    assert (participant["userId"], participant["attributes"]) == ("UpdatedUser", {"role": "moderator"})


async def test_an_exchange_without_publish_ends_the_publication(
    stage: StageHandle, backend: Backend, peers: Peers
) -> None:
    host = backend.token(stage.arn, "P", "PUBLISH", "SUBSCRIBE")
    viewer_id, viewer_token = await stage.token()
    async with connect_events_client(host) as events:
        publisher = peers.publisher(host)
        await publisher.start()
        await peers.viewer(viewer_token, publisher_id="P").start()
        await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", "P"))
        await exchange(events, backend.token(stage.arn, "P", "SUBSCRIBE"))
        await stage.expect_events("P", "JOINED", "PUBLISH_STARTED", "TOKEN_EXCHANGED", "PUBLISH_STOPPED")
        await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", "P"), ("SUBSCRIBE_STOPPED", "P"), "LEFT")
        await wait_for_state(publisher.connection, "closed", "failed")
        await events.wait_until(lambda shown: not shown["P"]["isPublishing"])
        with pytest.raises(OfferRefusedError) as raised:
            await peers.publisher(host).start()
        assert raised.value.code == "INSUFFICIENT_CAPABILITIES"


async def test_an_exchange_without_subscribe_ends_the_subscriptions(
    stage: StageHandle, backend: Backend, peers: Peers
) -> None:
    publisher_id, publisher_token = await stage.token()
    await peers.publisher(publisher_token).start()
    viewer = backend.token(stage.arn, "V", "SUBSCRIBE")
    async with connect_events_client(viewer) as events:
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


async def test_a_token_of_the_server_cannot_be_exchanged(stage: StageHandle, backend: Backend) -> None:
    participant_id, token = await stage.token()
    async with connect_events_client(token) as events:
        answer = await exchange(events, backend.token(stage.arn, participant_id, "PUBLISH"))
        assert (answer["type"], answer["payload"]["code"]) == ("EXCHANGE_TOKEN_ERROR", "TOKEN_NOT_EXCHANGEABLE")
        answer = await exchange(events, "nonsense")
        assert answer["payload"]["code"] == "TOKEN_MALFORMED"
        assert await stage.events(participant_id) == ["JOINED"]


async def test_a_deleted_key_refuses_new_connections_and_ends_none(
    stage: StageHandle, backend: Backend, peers: Peers
) -> None:
    token = backend.token(stage.arn, "P", "PUBLISH")
    async with connect_events_client(token) as events:
        await peers.publisher(token).start()
        await asyncio.to_thread(stage.ivs.delete_public_key, arn=backend.key.arn)
        with pytest.raises(OfferRefusedError) as raised:
            await peers.publisher(token).start()
        assert (raised.value.status, raised.value.code) == (401, "TOKEN_SIGNATURE")
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
    ids=["lifetime", "iat-in-the-future", "whip-url", "version", "jti"],  # constant: xdist compares ids of its workers
)
async def test_an_invalid_self_signed_token_is_refused_without_an_event(
    stage: StageHandle, backend: Backend, peers: Peers, changes: dict[str, Any]
) -> None:
    whip_url = (await asyncio.to_thread(stage.ivs.get_stage, arn=stage.arn))["stage"]["endpoints"]["whip"]
    token = backend.token(stage.arn, "P", "PUBLISH", **changes)
    with pytest.raises(OfferRefusedError) as raised:
        await peers.publisher(token, whip_url=whip_url).start()
    assert (raised.value.status, raised.value.code) == (401, "TOKEN_MALFORMED")
    assert await stage.session_id() is None


def nested_token(backend: Backend, token: str, depth: int) -> str:
    """Sign the payload of a token again, with a member that is nested so deeply that Python cannot encode it."""
    text = json.dumps(token_payload(token))[:-1] + ', "extra": ' + "[" * depth + "]" * depth + "}"
    return jwt.PyJWS().encode(text.encode(), backend.key.private, algorithm="ES384", headers={"kid": backend.key.arn})


async def test_a_deeply_nested_token_is_refused_and_ends_no_websocket(
    stage: StageHandle, backend: Backend, peers: Peers
) -> None:
    token = backend.token(stage.arn, "P", "PUBLISH")
    deep = nested_token(backend, token, 2_000)
    with pytest.raises(OfferRefusedError) as raised:
        await peers.publisher(deep, whip_url=token_payload(token)["whip_url"]).start()
    assert (raised.value.status, raised.value.code) == (401, "TOKEN_MALFORMED")

    async with connect_events_client(token) as events:
        reply = await exchange(events, deep)
        assert (reply["type"], reply["payload"]["code"]) == ("EXCHANGE_TOKEN_ERROR", "TOKEN_MALFORMED")
        await events.socket.send('{"type": "PING", "extra": ' + "[" * 5_000 + "]" * 5_000 + "}")
        assert (await exchange(events, token))["type"] == "TOKEN_EXCHANGED"
    await stage.expect_events("P", "JOINED", "LEFT")


async def open_events(token: str, connection_token: str) -> ClientConnection:
    payload = token_payload(token)
    protocols = [Subprotocol(token), Subprotocol(f"connection-token.{connection_token}")]
    return await connect(f"{payload['events_url']}/{payload['topic']}", subprotocols=protocols)


async def test_revoking_a_connection_token_disconnects_its_participants(
    stage: StageHandle, backend: Backend, peers: Peers
) -> None:
    connection_token = backend.connection_token(stage.arn, "Mx6clRRHODPy")
    token = backend.token(stage.arn, "P", "PUBLISH")
    socket = await open_events(token, connection_token)
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
    headers = {
        "Authorization": f"Bearer {token}",
        "Connection-Token": connection_token,
        "Content-Type": "application/sdp",
    }
    async with httpx.AsyncClient() as http:
        answer = await http.post(token_payload(token)["whip_url"], content="v=0", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "TOKEN_CONNECTION_TOKEN")
    with pytest.raises(OfferRefusedError) as raised:
        await peers.publisher(token).start()
    assert (raised.value.status, raised.value.code) == (403, "TOKEN_CONNECTION_TOKEN")
    again = await open_events(token, backend.connection_token(stage.arn, "another"))
    await peers.publisher(token).start()
    await stage.expect_events("P", "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT", "JOINED", "PUBLISH_STARTED")
    await again.close()
