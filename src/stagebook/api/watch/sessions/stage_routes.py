"""`GET /watch/v1/stages`: the stages of the account with what is live on them now.

The live numbers are those that the stage manager keeps for its quotas, so they cost nothing: an attempt to publish
that is in progress counts as a publisher.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec

from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, Role, json_response
from stagebook.api.watch.list_cursor import CursorParameter, ListCursors
from stagebook.history.history_reader import HistoryReader
from stagebook.history.sessions.stage_reads import StageErrors, read_stage_errors, read_stages
from stagebook.manager.session.session_registry import LiveSession
from stagebook.stage.clock import Clock
from stagebook.stage.resources import Stage
from stagebook.stage.timestamps import iso8601

HOUR_MS = 3_600_000
MAXIMUM_STAGES = 1_000


class StageListParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page of the list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAXIMUM_STAGES, description="Stages of a page.")] = 100
    cursor: CursorParameter | None = None


class StageOverview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One stage. The members of the session are null, and the numbers 0, while no session is open."""

    stage_arn: str
    name: str
    session_id: str | None
    session_start_time: str | None
    participants: int
    publishers: int
    subscriptions: int
    errors: int


class StageOverviewList(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of stages in the order of their creation. `errors` counts those since `errors_since_time`.

    That is an hour ago, or less if the book has had very many events since.
    """

    stages: list[StageOverview]
    errors_since_time: str
    next_cursor: str | None = None


class StageRoutes:
    """The route of the overview. `live_session` returns what is live on a stage, None without an open session."""

    def __init__(
        self,
        *,
        history: HistoryReader,
        live_session: Callable[[str], LiveSession | None],
        cursors: ListCursors,
        clock: Clock,
    ) -> None:
        self._history = history
        self._cursors = cursors
        self._live_session = live_session
        self._clock = clock

    def route(self) -> ApiRoute:
        """Return the route."""
        return ApiRoute(
            method="GET",
            template="/watch/v1/stages",
            action="ListStages",
            summary="List the stages with their open sessions and what is live on them",
            handle=self._list,
            query=StageListParameters,
            response=StageOverviewList,
        )

    async def _list(self, call: ApiCall) -> ApiResponse:
        parameters: StageListParameters = call.query
        account_id = call.caller.account_id
        call.caller.require("stagebook:ListStages", Role.READER)
        binding = ("ListStages", account_id)
        after = self._cursors.read(parameters.cursor, binding=binding)
        page, errors = await asyncio.gather(
            self._history.run(read_stages, account_id, after=after, limit=parameters.limit),
            self._history.run(read_stage_errors, account_id, since_ms=self._clock.now_ms() - HOUR_MS),
        )
        return json_response(
            StageOverviewList(
                stages=[self._overview(stage, errors) for stage in page.items],
                errors_since_time=iso8601(errors.since_ms),
                next_cursor=self._cursors.make(page.next_position, binding=binding),
            )
        )

    def _overview(self, stage: Stage, errors: StageErrors) -> StageOverview:
        live = self._live_session(stage.arn)
        return StageOverview(
            stage_arn=stage.arn,
            name=stage.name,
            session_id=None if live is None else live.session_id,
            session_start_time=None if live is None else iso8601(live.start_ms),
            participants=0 if live is None else live.participants,
            publishers=0 if live is None else live.publishers,
            subscriptions=0 if live is None else live.subscriptions,
            errors=errors.counts.get(stage.arn, 0),
        )
