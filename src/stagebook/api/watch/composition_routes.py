"""`GET /watch/v1/compositions` and `/compositions/{composition_id}`: the history of compositions.

The AWS API shows a composition for five minutes after its end. Here it stays until it is deleted by age.
"""

from typing import Annotated

import msgspec

from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, Role, json_response
from stagebook.api.watch.event_parameters import full_stage_arn, text_parameter
from stagebook.api.watch.list_cursor import CursorParameter, ListCursors
from stagebook.book.composition_reader import CompositionFilter
from stagebook.history.composition_document import (
    CompositionDocument,
    CompositionEventDocument,
    composition_document,
)
from stagebook.history.composition_history import read_composition, read_composition_events, read_compositions
from stagebook.history.history_reader import HistoryReader
from stagebook.stage.arns import COMPOSITION, Arn
from stagebook.stage.errors import ResourceNotFoundError

MAXIMUM_COMPOSITIONS = 1_000
MAXIMUM_COMPOSITION_EVENTS = 1_000


class CompositionParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which compositions."""

    stage: Annotated[str, text_parameter("ARN or id of the stage.")] | None = None
    configuration: Annotated[str, text_parameter("ARN of an encoder or storage configuration that it uses.")] | None = (
        None
    )
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAXIMUM_COMPOSITIONS, description="Compositions of a page.")] = 100
    cursor: CursorParameter | None = None


class CompositionEventParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of the events of a composition."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAXIMUM_COMPOSITION_EVENTS, description="Events of a page.")] = 100
    cursor: CursorParameter | None = None


class CompositionList(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of compositions, the newest first. It may have fewer than asked for, or none, and still a next page."""

    compositions: tuple[CompositionDocument, ...]
    next_cursor: str | None = None


class CompositionReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A composition and a page of its events, the oldest first."""

    composition: CompositionDocument
    events: tuple[CompositionEventDocument, ...]
    next_cursor: str | None = None


class CompositionRoutes:
    """The routes of compositions. `region` is that of the server, for resources that are named by their id."""

    def __init__(self, *, history: HistoryReader, cursors: ListCursors, region: str) -> None:
        self._history = history
        self._cursors = cursors
        self._region = region

    def routes(self) -> tuple[ApiRoute, ...]:
        """Return the routes."""
        return (
            ApiRoute(
                method="GET",
                template="/watch/v1/compositions",
                action="ListCompositions",
                summary="List the compositions of all stages, the newest first, also those that ended long ago",
                handle=self._list,
                query=CompositionParameters,
                response=CompositionList,
            ),
            ApiRoute(
                method="GET",
                template="/watch/v1/compositions/{composition_id}",
                action="GetComposition",
                summary="Show a composition and its events",
                handle=self._show,
                query=CompositionEventParameters,
                response=CompositionReport,
            ),
        )

    async def _list(self, call: ApiCall) -> ApiResponse:
        parameters: CompositionParameters = call.query
        account_id = call.caller.account_id
        where = CompositionFilter(
            account_id=account_id,
            stage_arn=full_stage_arn(parameters.stage, account_id=account_id, region=self._region),
            configuration_arn=parameters.configuration,
        )
        call.caller.require("stagebook:ListCompositions", Role.READER, resource=where.stage_arn)
        binding = ("ListCompositions", where)
        after = self._cursors.read(parameters.cursor, binding=binding)
        page = await self._history.run(read_compositions, where, after=after, limit=parameters.limit)
        cursor = self._cursors.make(page.next_position, binding=binding)
        return json_response(CompositionList(compositions=page.compositions, next_cursor=cursor))

    async def _show(self, call: ApiCall) -> ApiResponse:
        parameters: CompositionEventParameters = call.query
        arn = Arn(
            region=self._region,
            account_id=call.caller.account_id,
            resource_type=COMPOSITION,
            resource_id=call.path["composition_id"],
        )
        composition = await self._history.run(read_composition, str(arn))
        # A policy speaks of stages: a reader of one stage may read its compositions.
        resource = None if composition is None else composition.stage_arn
        call.caller.require("stagebook:GetComposition", Role.READER, resource=resource)
        if composition is None:
            raise ResourceNotFoundError(kind="composition", name=call.path["composition_id"])
        binding = ("GetComposition", composition.arn)
        after = self._cursors.read(parameters.cursor, binding=binding)
        page = await self._history.run(read_composition_events, composition.arn, after=after, limit=parameters.limit)
        return json_response(
            CompositionReport(
                composition=composition_document(composition),
                events=page.events,
                next_cursor=self._cursors.make(page.next_position, binding=binding),
            )
        )
