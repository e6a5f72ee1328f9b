"""Refused attempts to join, publish or watch: the HTTP response, and the events that the book has afterwards."""

import time

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from stagebook.data_folder.secrets import DataFolder
from stagebook.manager.tokens.jwt_authority import JwtAuthority, new_private_key_pem
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.stage.claims import Claims
from stagebook.stage.resources import Capability
from tests.clients.events_client import connect_events_client
from tests.clients.stage_client import OfferRefusedError, token_payload
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle


async def refused_handshake(token: str) -> int:
    """Return the status with which the server refuses the events websocket."""
    payload = token_payload(token)
    with pytest.raises(InvalidStatus) as raised:
        async with connect(f"{payload['events_url']}/{payload['topic']}", subprotocols=[Subprotocol(token)]):
            pass
    return raised.value.response.status_code


async def refused_publication(peers: Peers, token: str) -> tuple[int, str]:
    """Return the status and the code with which the server refuses an offer to publish."""
    with pytest.raises(OfferRefusedError) as raised:
        await peers.publisher(token).start()
    return raised.value.status, raised.value.code


async def refused_subscription(peers: Peers, token: str, publisher_id: str) -> tuple[int, str]:
    """Return the status and the code with which the server refuses an offer to watch."""
    with pytest.raises(OfferRefusedError) as raised:
        await peers.viewer(token, publisher_id=publisher_id).start()
    return raised.value.status, raised.value.code


async def test_publishing_without_the_capability_is_refused(stage: StageHandle, peers: Peers) -> None:
    participant_id, token = await stage.token("SUBSCRIBE")
    async with connect_events_client(token):
        assert await refused_publication(peers, token) == (403, "INSUFFICIENT_CAPABILITIES")
        assert await stage.events(participant_id) == ["JOINED", ("PUBLISH_ERROR", "INSUFFICIENT_CAPABILITIES")]
    await stage.expect_events(participant_id, "JOINED", ("PUBLISH_ERROR", "INSUFFICIENT_CAPABILITIES"), "LEFT")


async def test_watching_without_the_capability_is_refused(stage: StageHandle, peers: Peers) -> None:
    participant_id, token = await stage.token("PUBLISH")
    assert await refused_subscription(peers, token, "somebody") == (403, "INSUFFICIENT_CAPABILITIES")
    assert await stage.events(participant_id) == [("SUBSCRIBE_ERROR", "INSUFFICIENT_CAPABILITIES somebody")]


async def test_watching_an_unknown_publisher_is_refused(stage: StageHandle, peers: Peers) -> None:
    participant_id, token = await stage.token()
    assert await refused_subscription(peers, token, "nobody") == (404, "PUBLISHER_NOT_FOUND")
    assert await stage.events(participant_id) == [("SUBSCRIBE_ERROR", "PUBLISHER_NOT_FOUND nobody")]


async def test_a_forged_token_is_refused_without_an_event(stage: StageHandle, peers: Peers) -> None:
    participant_id, _ = await stage.token()
    forged = signed_token(stage, new_private_key_pem(), participant_id, lifetime_seconds=600)
    assert await refused_publication(peers, forged) == (401, "TOKEN_SIGNATURE")
    assert await refused_subscription(peers, forged, "somebody") == (401, "TOKEN_SIGNATURE")
    assert await refused_handshake(forged) == 401
    assert await stage.session_id() is None


async def test_an_expired_token_is_refused_without_an_event(stage: StageHandle, peers: Peers) -> None:
    server_key_pem = DataFolder(stage.server.data).token_signing_key()
    expired = signed_token(stage, server_key_pem, "abCDEf12GHIj", lifetime_seconds=-1)
    assert await refused_publication(peers, expired) == (401, "TOKEN_EXPIRED")
    assert await refused_handshake(expired) == 401
    assert await stage.session_id() is None


def signed_token(stage: StageHandle, key_pem: bytes, participant_id: str, *, lifetime_seconds: int) -> str:
    """Return a token for the stage, signed with the given private key."""
    base_url = stage.server.endpoint_url
    endpoints = Endpoints(events=base_url.replace("http", "ws") + "/events", whip=base_url + "/whip", rtmp="", rtmps="")
    now_seconds = int(time.time())
    claims = Claims(
        participant_id=participant_id,
        stage_arn=stage.arn,
        capabilities=frozenset(Capability),
        issued_at_seconds=now_seconds - 60,
        expires_at_seconds=now_seconds + lifetime_seconds,
    )
    return JwtAuthority(private_key_pem=key_pem, endpoints=endpoints).mint(claims)


async def test_a_token_for_another_stage_is_refused(stage: StageHandle) -> None:
    _, token = await stage.token()
    other = StageHandle(stage.server)
    with pytest.raises(InvalidStatus) as raised:
        async with connect(f"{token_payload(token)['events_url']}/{other.stage_id}", subprotocols=[Subprotocol(token)]):
            pass
    assert raised.value.response.status_code == 403
    assert await other.session_id() is None


async def test_disconnect_participant_ends_all_connections_and_invalidates_the_token(
    stage: StageHandle, peers: Peers
) -> None:
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    await peers.publisher(publisher_token).start()
    viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
    await viewer.start()
    await viewer.wait_for_media()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id))
    async with connect_events_client(publisher_token) as events:
        await stage.call("disconnect_participant", participantId=publisher_id, reason="Be nice – 次回")
        # The events are durable before the call returns, so no polling is needed.
        assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        assert await events.wait_closed() == (4001, "Be nice – 次回")
    await stage.expect_events(
        viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id), ("SUBSCRIBE_STOPPED", publisher_id), "LEFT"
    )
    assert await refused_publication(peers, publisher_token) == (403, "TOKEN_PARTICIPANT_DISCONNECTED")
    assert await refused_handshake(publisher_token) == 403
    assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


async def test_deleting_a_stage_disconnects_all_participants(stage: StageHandle, peers: Peers) -> None:
    publisher_id, token = await stage.token()
    await peers.publisher(token).start()
    async with connect_events_client(token) as events:
        await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
        stage.ivs.delete_stage(arn=stage.arn)
        assert await events.wait_closed() == (4002, "STAGE_DELETED")
    assert await refused_publication(peers, token) == (404, "TOKEN_STAGE_DELETED")
    assert await refused_handshake(token) == 404
