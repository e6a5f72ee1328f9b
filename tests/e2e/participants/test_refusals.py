"""Who may not join, publish or watch, what they are told, and what the book says of it."""

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
from tests.clients.events_client import events_of
from tests.clients.stage_client import OfferRefusedError, token_payload
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_of_test import StageOfTest


async def refused_handshake(token: str) -> int:
    payload = token_payload(token)
    with pytest.raises(InvalidStatus) as caught:
        async with connect(f"{payload['events_url']}/{payload['topic']}", subprotocols=[Subprotocol(token)]):
            pass
    return caught.value.response.status_code


async def refused_publication(peers: Peers, token: str) -> tuple[int, str]:
    with pytest.raises(OfferRefusedError) as caught:
        await peers.publisher(token).start()
    return caught.value.status, caught.value.code


async def refused_subscription(peers: Peers, token: str, publisher_id: str) -> tuple[int, str]:
    with pytest.raises(OfferRefusedError) as caught:
        await peers.viewer(token, publisher_id=publisher_id).start()
    return caught.value.status, caught.value.code


async def test_a_token_to_watch_does_not_publish(stage: StageOfTest, peers: Peers) -> None:
    participant_id, token = await stage.token("SUBSCRIBE")
    async with events_of(token):
        assert await refused_publication(peers, token) == (403, "INSUFFICIENT_CAPABILITIES")
        assert await stage.events(participant_id) == ["JOINED", ("PUBLISH_ERROR", "INSUFFICIENT_CAPABILITIES")]
    await stage.expect_events(participant_id, "JOINED", ("PUBLISH_ERROR", "INSUFFICIENT_CAPABILITIES"), "LEFT")


async def test_a_token_to_publish_does_not_watch(stage: StageOfTest, peers: Peers) -> None:
    participant_id, token = await stage.token("PUBLISH")
    assert await refused_subscription(peers, token, "somebody") == (403, "INSUFFICIENT_CAPABILITIES")
    assert await stage.events(participant_id) == [("SUBSCRIBE_ERROR", "INSUFFICIENT_CAPABILITIES somebody")]


async def test_nobody_watches_a_publisher_who_is_not_there(stage: StageOfTest, peers: Peers) -> None:
    participant_id, token = await stage.token()
    assert await refused_subscription(peers, token, "nobody") == (404, "PUBLISHER_NOT_FOUND")
    assert await stage.events(participant_id) == [("SUBSCRIBE_ERROR", "PUBLISHER_NOT_FOUND nobody")]


async def test_a_forged_token_is_refused_and_leaves_no_trace(stage: StageOfTest, peers: Peers) -> None:
    participant_id, _ = await stage.token()
    forged = token_of(stage, new_private_key_pem(), participant_id, lifetime_seconds=600)
    assert await refused_publication(peers, forged) == (401, "TOKEN_SIGNATURE")
    assert await refused_subscription(peers, forged, "somebody") == (401, "TOKEN_SIGNATURE")
    assert await refused_handshake(forged) == 401
    assert await stage.session_id() is None


async def test_an_expired_token_is_refused_and_leaves_no_trace(stage: StageOfTest, peers: Peers) -> None:
    server_key_pem = DataFolder(stage.server.data).token_signing_key()
    expired = token_of(stage, server_key_pem, "abCDEf12GHIj", lifetime_seconds=-1)
    assert await refused_publication(peers, expired) == (401, "TOKEN_EXPIRED")
    assert await refused_handshake(expired) == 401
    assert await stage.session_id() is None


def token_of(stage: StageOfTest, key_pem: bytes, participant_id: str, *, lifetime_seconds: int) -> str:
    """Return a token for the stage, signed by the given key: like the server's own if the key is."""
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


async def test_a_token_for_another_stage_is_refused(stage: StageOfTest) -> None:
    _, token = await stage.token()
    other = StageOfTest(stage.server)
    with pytest.raises(InvalidStatus) as caught:
        async with connect(f"{token_payload(token)['events_url']}/{other.stage_id}", subprotocols=[Subprotocol(token)]):
            pass
    assert caught.value.response.status_code == 403
    assert await other.session_id() is None


async def test_disconnect_participant_ends_everything_and_kills_the_token(stage: StageOfTest, peers: Peers) -> None:
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    await peers.publisher(publisher_token).start()
    viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
    await viewer.start()
    await viewer.wait_until_satisfied()
    async with events_of(publisher_token) as events:
        await stage.call("disconnect_participant", participantId=publisher_id, reason="Be nice – 次回")
        # The call's answer means that it is in the book.
        assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        assert await events.wait_closed() == (4001, "Be nice – 次回")
    assert await stage.events(viewer_id) == [
        "JOINED",
        ("SUBSCRIBE_STARTED", publisher_id),
        ("SUBSCRIBE_STOPPED", publisher_id),
        "LEFT",
    ]
    assert await refused_publication(peers, publisher_token) == (403, "TOKEN_PARTICIPANT_DISCONNECTED")
    assert await refused_handshake(publisher_token) == 403
    assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


async def test_a_deleted_stage_sends_everybody_away(stage: StageOfTest, peers: Peers) -> None:
    publisher_id, token = await stage.token()
    await peers.publisher(token).start()
    async with events_of(token) as events:
        await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
        stage.ivs.delete_stage(arn=stage.arn)
        assert await events.wait_closed() == (4002, "STAGE_DELETED")
    assert await refused_publication(peers, token) == (404, "TOKEN_STAGE_DELETED")
    assert await refused_handshake(token) == 404
