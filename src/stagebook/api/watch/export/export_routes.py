"""`GET /watch/v1/events/export`: all events that match, as one response of any length; see `response_parts.py`."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Annotated

import msgspec

from stagebook.api.routes.api_route import ApiCall, ApiRoute, Role, StreamingResponse
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.watch.event_parameters import PastEventParameters, event_filter
from stagebook.api.watch.export.response_parts import BUSY_SECONDS, PartReader
from stagebook.history.composition_document import CompositionEventDocument
from stagebook.history.event_document import EventDocument
from stagebook.history.event_query import EventFilter
from stagebook.history.export.event_lines import CONTENT_TYPES, TEXT_FORMATS
from stagebook.history.export.export_pages import ExportRange, export_range, read_export_part
from stagebook.history.history_reader import HistoryReader

ACTION = "stagebook:ExportEvents"


class ExportParameters(PastEventParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events, and the format."""

    format: Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(TEXT_FORMATS)})$", description="`jsonl` or `csv`.")] = (
        "jsonl"
    )


class ExportRoutes:
    """The route of exports. `region` is that of the stages, for stages that are named by their id.

    An export that has begun reads the history every `busy_seconds` while it is busy.
    """

    def __init__(
        self, *, history: HistoryReader, places: ReaderPlaces, region: str, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self._history = history
        self._part_reader = PartReader(history, busy_seconds=busy_seconds)
        self._places = places
        self._region = region

    def route(self) -> ApiRoute:
        """Return the route."""
        return ApiRoute(
            method="GET",
            template="/watch/v1/events/export",
            action="ExportEvents",
            summary="Export all events that match as JSON Lines or CSV",
            handle=self._export,
            query=ExportParameters,
            content_type=CONTENT_TYPES["jsonl"],
            other_content_types=(CONTENT_TYPES["csv"],),
            messages=(EventDocument, CompositionEventDocument),
        )

    async def _export(self, call: ApiCall) -> StreamingResponse:
        parameters: ExportParameters = call.query
        where = event_filter(parameters, account_id=call.caller.account_id, region=self._region)
        call.caller.require(ACTION, Role.READER, resource=where.stage_arn)
        with ExitStack() as resources:
            resources.callback(self._places.take(call.caller).give_back)
            within = await self._history.run(export_range, where)
            headers = (
                (b"content-type", CONTENT_TYPES[parameters.format].encode()),
                (b"content-disposition", f'attachment; filename="events.{parameters.format}"'.encode()),
                (b"cache-control", b"no-store"),
            )
            # The generator releases the place at its end.
            parts = self._parts(call, where, within, resources.pop_all())
            return StreamingResponse(headers=headers, parts=parts)

    async def _parts(
        self, call: ApiCall, where: EventFilter, within: ExportRange, resources: ExitStack
    ) -> AsyncGenerator[bytes, None]:
        parameters: ExportParameters = call.query
        with resources:
            if heading := TEXT_FORMATS[parameters.format][0]():
                yield heading
            remaining: ExportRange | None = within
            while remaining is not None:
                # A key that has been revoked ends the response.
                call.caller.require(ACTION, Role.READER, resource=where.stage_arn)
                part = await self._part_reader.run(read_export_part, where, remaining, parameters.format)
                if part.content:
                    yield part.content
                remaining = part.remaining
