"""Participants without media over the testing API: their actions, their state, and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stagebook.book.book_values import ParticipantFilter
from stagebook.stage.limits import STRICT
from tests.api.testing.participants.peer_harness import ENDPOINTS, PeerHarness, running_peers
from tests.clients.own_key import OwnKey, connection_payload
from tests.manager.manager_harness import ACCOUNT, REGION


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[PeerHarness]:
    async with running_peers(tmp_path) as peers:
        yield peers


@pytest.fixture
async def stage_arn(peers: PeerHarness) -> str:
    return await peers.stage()


async def test_a_participant_joins_publishes_and_leaves(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn, userId="ann", attributes={"role": "host"})
    assert (ann.document["state"], ann.document["userId"]) == ("DISCONNECTED", "ann")
    assert await ann.do("join") == ["JOINED"]
    assert await ann.do("publish") == ["PUBLISH_STARTED"]
    assert (ann.document["hasJoined"], ann.document["isPublishing"]) == (True, True)
    assert await ann.do("publish") == []  # the new publication has taken over
    assert await ann.do("unpublish") == ["PUBLISH_STOPPED"]
    assert await ann.do("leave") == ["LEFT"]
    assert (ann.document["state"], ann.document["leftCause"]) == ("DISCONNECTED", "client")


async def test_a_participant_watches_a_publisher_several_times(peers: PeerHarness, stage_arn: str) -> None:
    ann, bob = await peers.participant(stage_arn, "publish"), await peers.participant(stage_arn, "join")
    for _ in range(2):
        assert await bob.do("subscribe", to=ann.participant_id) == ["SUBSCRIBE_STARTED"]
    assert bob.document["subscribedTo"] == [ann.participant_id]
    assert await bob.do("unsubscribe", to=ann.participant_id) == ["SUBSCRIBE_STOPPED"] * 2
    assert bob.document["subscribedTo"] == []
    await bob.do("subscribe", to=ann.participant_id)
    await ann.do("unpublish")
    assert (await bob.state())["subscribedTo"] == []
    assert await bob.refused("unsubscribe", to=ann.participant_id) == "the participant does not watch this publisher"


async def test_a_lost_connection_ends_everything_at_once(peers: PeerHarness, stage_arn: str) -> None:
    ann, bob = await peers.participant(stage_arn, "publish"), await peers.participant(stage_arn, "join", "publish")
    await bob.do("subscribe", to=ann.participant_id)
    assert await bob.do("lose-connection") == ["SUBSCRIBE_STOPPED", "PUBLISH_STOPPED", "LEFT"]
    assert {event["cause"] for event in bob.document["events"]} == {"peer_lost"}
    assert await bob.do("join") == ["JOINED"]


async def test_a_disconnection_by_the_aws_api_is_shown(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn, "join", "publish")
    await peers.manager.stages.disconnect_participant(
        stage_arn=stage_arn, participant_id=ann.participant_id, reason="rude"
    )
    await peers.manager.settled()
    state = await ann.state()
    assert (state["hasJoined"], state["isPublishing"], state["leftCause"]) == (False, False, "disconnected_by_api")
    assert (await ann.refused("join")).startswith("PARTICIPANT_DISCONNECTED: ")


async def test_a_deleted_stage_is_shown(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn, "join", "publish")
    await peers.manager.stages.delete(stage_arn=stage_arn)
    await peers.manager.settled()
    state = await ann.state()
    assert (state["state"], state["hasJoined"], state["isPublishing"]) == ("DISCONNECTED", False, False)
    assert await ann.refused("join") == "STAGE_DELETED: the stage does not exist"
    events = (await peers.call("GET", f"{ann.path}/events"))["events"]
    assert [event["name"] for event in events] == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
    assert state["leftCause"] == events[-1]["cause"]


async def test_an_expired_token_cannot_join(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn, durationMinutes=1)
    peers.clock.ms += 60_000
    assert await ann.refused("join") == "EXPIRED: the token has expired"


async def test_an_offer_that_never_connects_starts_nothing(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn)
    assert await ann.do("never-connect") == ["JOINED", "LEFT"]
    assert ann.document["leftCause"] == "never_connected"
    await ann.do("publish")
    assert await ann.do("never-connect") == []  # the publication that it was to replace goes on
    assert ann.document["isPublishing"]


async def test_a_revoked_connection_token_ends_its_participants(peers: PeerHarness, stage_arn: str) -> None:
    key = OwnKey()
    imported = await peers.manager.public_keys.import_key(account_id=ACCOUNT, name="", tags={}, material=key.public_pem)
    key.arn = imported.arn
    payload = connection_payload(
        {}, account_id=ACCOUNT, region=REGION, events_url=ENDPOINTS.events, now_seconds=peers.clock.ms // 1_000
    )
    ann = await peers.participant(stage_arn, "join", "publish", connectionToken=key.sign(payload))
    await peers.manager.connection_tokens.revoke(account_id=ACCOUNT, token_id=payload["jti"])
    await peers.manager.settled()
    assert (await ann.state())["leftCause"] == "connection_token_revoked"
    assert (await ann.refused("join")).startswith("CONNECTION_TOKEN: ")


async def test_a_participant_shows_its_client(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn, "join", client={"browserName": "Google Chrome", "osName": "Windows"})
    record = peers.book.get_participant(stage_arn, ann.document["sessionId"], ann.participant_id)
    assert record is not None
    assert (record.client.browser_name, record.client.os_name) == ("Google Chrome", "Windows")


async def test_a_token_is_exchanged(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn, "join", "publish", userId="ann")
    assert await ann.do("exchange-token", capabilities=["SUBSCRIBE"], attributes={"role": "guest"}) == [
        "TOKEN_EXCHANGED",
        "PUBLISH_STOPPED",
    ]
    assert (ann.document["capabilities"], ann.document["userId"]) == (["SUBSCRIBE"], "ann")
    assert await ann.refused("publish") == "INSUFFICIENT_CAPABILITIES: the token lacks the capability PUBLISH"
    token = (await peers.participant(stage_arn, participantId=ann.participant_id)).document["token"]
    assert await ann.do("exchange-token", token=token) == ["TOKEN_EXCHANGED"]
    assert await ann.do("publish") == ["PUBLISH_STARTED"]


async def test_a_token_of_the_aws_api_cannot_be_exchanged(peers: PeerHarness, stage_arn: str) -> None:
    created = await peers.call("POST", "participants", {"token": peers.token(stage_arn)}, status=201)
    path = f"participants/{created['id']}"
    await peers.call("POST", f"{path}/join")
    problem = await peers.call("POST", f"{path}/exchange-token", {"userId": "eve"}, status=409)
    assert "signed with an imported key" in problem["detail"]


async def test_the_keys_of_participants_are_in_no_list(peers: PeerHarness, stage_arn: str) -> None:
    await peers.participant(stage_arn, "join")
    assert peers.book.count_resources(stage_arn.split(":")[4], "public-key") == 0


async def test_a_deleted_participant_has_left(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn, "join")
    await peers.call("DELETE", ann.path, status=204)
    await peers.call("GET", ann.path, status=404)
    live = peers.manager.live.session(stage_arn)
    assert live is not None
    assert live.participants == 0


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("kind", ["minted", "signed"])
async def test_a_capability_can_be_missing_in_any_state(
    peers: PeerHarness, stage_arn: str, kind: str, *, joined: bool
) -> None:
    members: dict[str, Any] = {"token": peers.token(stage_arn)} if kind == "minted" else {"stageArn": stage_arn}
    created = await peers.call("POST", "participants", members, status=201)
    path = f"participants/{created['id']}"
    if joined:
        await peers.call("POST", f"{path}/join")
    body = {"errorCode": "INSUFFICIENT_CAPABILITIES"}
    failed = await peers.call("POST", f"{path}/fail-publish", body)
    exchanged = ["TOKEN_EXCHANGED"] if joined and kind == "signed" else []
    assert [event["name"] for event in failed["events"]] == [*exchanged, "PUBLISH_ERROR"]


async def test_a_quota_is_reached_for_this_attempt_only(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn)
    for action in ("fail-join", "fail-publish"):
        (name,) = await ann.do(action, errorCode="QUOTA_EXCEEDED")
        assert name == f"{action.removeprefix('fail-').upper()}_ERROR QUOTA_EXCEEDED"
    page = peers.book.list_participants(
        stage_arn, ann.document["sessionId"], where=ParticipantFilter(), after=None, limit=10
    )
    assert [(record.participant_id, record.first_join_ms) for record in page.items] == [(ann.participant_id, None)]
    assert await ann.do("join") == ["JOINED"]
    assert await ann.do("fail-join", errorCode="QUOTA_EXCEEDED") == ["JOIN_ERROR QUOTA_EXCEEDED"]
    assert await ann.do("publish") == ["PUBLISH_STARTED"]
    assert (await ann.refused("fail-publish", errorCode="QUOTA_EXCEEDED")).endswith("unpublish first")


async def test_a_running_publication_breaks_a_limit(peers: PeerHarness, stage_arn: str) -> None:
    ann = await peers.participant(stage_arn, "join")
    for code in ("BITRATE_EXCEEDED", "RESOLUTION_EXCEEDED", "B_FRAME_PRESENT", "STREAM_DURATION_EXCEEDED"):
        await ann.do("publish")
        assert await ann.do("fail-publish", errorCode=code) == [f"PUBLISH_ERROR {code}", "PUBLISH_STOPPED"]
        assert not ann.document["isPublishing"]
    assert await ann.do("fail-publish", errorCode="INTERNAL_SERVER_EXCEPTION") == [
        "PUBLISH_ERROR INTERNAL_SERVER_EXCEPTION"
    ]
    assert await ann.do("publish") == ["PUBLISH_STARTED"]


async def test_somebody_who_publishes_is_found(peers: PeerHarness, stage_arn: str) -> None:
    ann, bob = await peers.participant(stage_arn, "publish"), await peers.participant(stage_arn, "join")
    detail = await bob.refused("fail-subscribe", errorCode="PUBLISHER_NOT_FOUND", to=ann.participant_id)
    assert detail == "PUBLISHER_NOT_FOUND: the server has not refused the attempt"
    assert (await bob.state())["subscribedTo"] == []


@pytest.mark.parametrize(
    ("members", "detail"),
    [
        ({}, "stageArn: is required without a token"),
        ({"token": "x", "userId": "ann"}, "token: excludes the members that describe a new token"),
        (
            {"stageArn": "x", "capabilities": ["JOIN"]},
            "capabilities[0]: Invalid enum value 'JOIN', expected one of PUBLISH, SUBSCRIBE",
        ),
        ({"stageArn": "x", "participantId": "a b"}, "participantId: Expected `str` matching regex"),
        ({"stageArn": "x", "colour": "red"}, "Object contains unknown field `colour`"),
    ],
)
async def test_a_wrong_member_is_named(peers: PeerHarness, members: dict[str, object], detail: str) -> None:
    problem = await peers.call("POST", "participants", members, status=400)
    assert problem["detail"].startswith(detail)


async def test_attributes_have_a_size(peers: PeerHarness, stage_arn: str) -> None:
    members = {"stageArn": stage_arn, "attributes": {"a": "x" * STRICT.attributes_size_bytes}}
    assert "attributes" in (await peers.call("POST", "participants", members, status=400))["detail"]


async def test_what_does_not_exist_is_not_found(peers: PeerHarness, stage_arn: str) -> None:
    await peers.call("POST", "participants", {"stageArn": f"{stage_arn[:-4]}none"}, status=404)
    await peers.call("POST", "participants/participant-9/join", status=404)
    assert (await peers.call("POST", "participants", {"token": "x"}, status=409))["detail"].startswith("MALFORMED: ")
