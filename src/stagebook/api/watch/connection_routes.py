"""`GET /watch/v1/connections`: the media connections of a participant, with what the media engine knows of each.

The counters are totals since the connection was opened. A client that asks again sees how they grow; the bitrate is the
average since the last request.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, Role, json_response
from stagebook.api.watch.event_parameters import full_stage_arn, text_parameter
from stagebook.manager.session.session_registry import LiveConnection
from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.stage.arns import parse_arn
from stagebook.stage.errors import MalformedArnError
from stagebook.stage.participant.transitions import ConnectionKind

MAXIMUM_CONNECTIONS: Final = 100
"""Connections of a response, the oldest first. A participant that watches more than that is no person."""


class ConnectionParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose connections."""

    stage: Annotated[str, text_parameter("ARN or id of the stage.")]
    participant: Annotated[str, text_parameter("Id of the participant.")]


class Purpose(StrEnum):
    """What a connection is for."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class ConnectionDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One media connection. `statistics` is null for encoders, and for a connection that has just been closed."""

    connection_id: str
    purpose: Purpose
    remote_participant_id: str | None
    """The publisher that is watched."""
    is_connected: bool
    statistics: ConnectionStatistics | None


class ConnectionList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The connections that are open now. Empty if the participant is not on the stage."""

    connections: list[ConnectionDocument]


class ConnectionRoutes:
    """The route. `live_connections` returns the connections of a participant of a stage, `statistics` what is known of
    the open ones of some connections. `region` is that of the stages, for stages that are named by their id."""

    def __init__(
        self,
        *,
        live_connections: Callable[[str, str], Sequence[LiveConnection]],
        statistics: Callable[[Sequence[str]], Awaitable[Sequence[ConnectionStatistics]]],
        region: str,
    ) -> None:
        self._live_connections = live_connections
        self._statistics = statistics
        self._region = region

    def route(self) -> ApiRoute:
        """Return the route."""
        return ApiRoute(
            method="GET",
            template="/watch/v1/connections",
            action="ListConnections",
            summary="List the media connections of a participant with their statistics",
            handle=self._list,
            query=ConnectionParameters,
            response=ConnectionList,
        )

    async def _list(self, call: ApiCall) -> ApiResponse:
        parameters: ConnectionParameters = call.query
        account_id = call.caller.account_id
        call.caller.require("stagebook:ListConnections", Role.READER)
        stage_arn = full_stage_arn(parameters.stage, account_id=account_id, region=self._region) or ""
        # A stage of another account looks as if nobody were on it.
        is_own = _account_of(stage_arn) == account_id
        shown = self._live_connections(stage_arn, parameters.participant)[:MAXIMUM_CONNECTIONS] if is_own else ()
        measured = await self._statistics([each.connection_id for each in shown])
        by_id = {each.connection_id: each for each in measured}
        return json_response(
            ConnectionList(connections=[_document(each, by_id.get(each.connection_id)) for each in shown])
        )


def _account_of(arn: str) -> str | None:
    try:
        return parse_arn(arn).account_id
    except MalformedArnError:
        return None


def _document(live: LiveConnection, statistics: ConnectionStatistics | None) -> ConnectionDocument:
    is_publisher = live.kind is ConnectionKind.PUBLISH
    return ConnectionDocument(
        connection_id=live.connection_id,
        purpose=Purpose.PUBLISH if is_publisher else Purpose.SUBSCRIBE,
        remote_participant_id=live.remote_participant_id,
        is_connected=live.is_flowing,
        statistics=statistics,
    )
