"""GET /watch/v1/connections: a participant's connections with their statistics, for readers of the account."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.routes.api_route import ApiCall, Role
from stagebook.api.watch.connection_routes import MAXIMUM_CONNECTIONS, ConnectionParameters, ConnectionRoutes
from stagebook.manager.session.session_registry import LiveConnection
from stagebook.media.connection_statistics import ConnectionRole, ConnectionStatistics
from stagebook.stage.participant.transitions import ConnectionKind
from tests.api.watch.access.access_harness import holder

PUBLISHING = LiveConnection(connection_id="p", kind=ConnectionKind.PUBLISH, is_flowing=True, remote_participant_id=None)
WATCHING = LiveConnection(
    connection_id="v", kind=ConnectionKind.SUBSCRIBE, is_flowing=False, remote_participant_id="other"
)
STATISTICS = ConnectionStatistics(
    connection_id="p",
    role=ConnectionRole.PUBLISHER,
    transport="tcp",
    seconds=3.0,
    bitrate_bps=2_000_000,
    estimate_bps=8_500_000,
    round_trip_seconds=None,
    loss=None,
    nacked_packets=0,
    resent_packets=0,
    keyframe_requests=2,
    layer_reason=None,
    is_video_paused=False,
    streams=(),
)


class Server:
    """What the route reads; it records what it was asked for."""

    def __init__(self, live: Sequence[LiveConnection]) -> None:
        self.live = live
        self.asked: list[Any] = []

    def live_connections(self, stage_arn: str, participant_id: str) -> Sequence[LiveConnection]:
        self.asked.append((stage_arn, participant_id))
        return self.live

    async def statistics(self, connection_ids: Sequence[str]) -> Sequence[ConnectionStatistics]:
        self.asked.append(list(connection_ids))
        return [STATISTICS] if "p" in connection_ids else []


async def read(server: Server, *, stage: str = "abcdefghijkl", is_valid: bool = True) -> list[dict[str, Any]]:
    route = ConnectionRoutes(
        live_connections=server.live_connections, statistics=server.statistics, region="us-east-1"
    ).route()
    call = ApiCall(
        caller=holder(Role.READER, is_valid=is_valid),
        path={},
        query=ConnectionParameters(stage=stage, participant="one"),
        body=None,
        headers={},
    )
    response = await route.handle(call)
    assert isinstance(response, HttpResponse)
    listed: list[dict[str, Any]] = json.loads(response.body)["connections"]
    return listed


async def test_connections_are_listed_with_their_statistics() -> None:
    publishing, watching = await read(Server([PUBLISHING, WATCHING]))
    assert publishing["connectionId"] == "p"
    assert (publishing["purpose"], publishing["isConnected"]) == ("publish", True)
    assert publishing["statistics"]["bitrateBps"] == 2_000_000
    assert publishing["statistics"]["transport"] == "tcp"
    assert watching == {
        "connectionId": "v",
        "purpose": "subscribe",
        "remoteParticipantId": "other",
        "isConnected": False,
        "statistics": None,
    }


async def test_a_stage_may_be_named_by_its_id_or_its_arn() -> None:
    by_id, by_arn = Server([]), Server([])
    account_id = holder(Role.READER, is_valid=True).account_id
    await read(by_id)
    await read(by_arn, stage=f"arn:aws:ivs:us-east-1:{account_id}:stage/abcdefghijkl")
    assert by_id.asked == by_arn.asked


@pytest.mark.parametrize("stage", ["arn:aws:ivs:us-east-1:999999999999:stage/abcdefghijkl", "a:b", "x" * 200])
async def test_stages_of_others_have_no_connections(stage: str) -> None:
    server = Server([PUBLISHING])
    assert await read(server, stage=stage) == []
    assert server.asked == [[]]


async def test_the_number_of_connections_is_bounded() -> None:
    server = Server([WATCHING] * (MAXIMUM_CONNECTIONS + 1))
    assert len(await read(server)) == MAXIMUM_CONNECTIONS


async def test_a_revoked_key_gets_nothing() -> None:
    with pytest.raises(ApiRefusedError):
        await read(Server([]), is_valid=False)
