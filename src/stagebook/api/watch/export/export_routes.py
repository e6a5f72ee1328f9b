"""`GET /watch/v1/events/export`: all events that match, as one response of any length.

Each part is read in a history process when the part before has been sent. A client that reads slowly costs its
connection and one page of memory; it holds no history process and no read transaction.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Annotated

import msgspec

from stagebook.api.watch.event_parameters import PastEventParameters, event_filter
from stagebook.api.watch.live_tail.reader_places import ReaderPlaces
from stagebook.api.watch.watch_route import Role, StreamingResponse, WatchCall, WatchRoute
from stagebook.history.event_document import EventDocument
from stagebook.history.event_query import EventFilter
from stagebook.history.export.event_lines import CONTENT_TYPES, TEXT_FORMATS
from stagebook.history.export.export_pages import ExportRange, export_range
from stagebook.history.export.export_reads import ExportPart, read_export_part
from stagebook.history.history_reader import HistoryReader
from stagebook.stage.errors import ServerBusyError

EXPORTS_AT_ONCE = 16
"""One account may have three quarters of them, and one key half."""

ACTION = "stagebook:ExportEvents"
_BUSY_ATTEMPTS = 30
_BUSY_SECONDS = 1.0
"""A response that has begun waits for a free history process instead of being cut."""


class ExportParameters(PastEventParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events, and the format."""

    format: Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(TEXT_FORMATS)})$", description="`jsonl` or `csv`.")] = (
        "jsonl"
    )


class ExportRoutes:
    """The route of exports. `region` is that of the stages, for stages that are named by their id."""

    def __init__(self, *, history: HistoryReader, region: str, busy_seconds: float = _BUSY_SECONDS) -> None:
        self._history = history
        self._region = region
        self._busy_seconds = busy_seconds
        self._places = ReaderPlaces(EXPORTS_AT_ONCE)

    def route(self) -> WatchRoute:
        """Return the route."""
        return WatchRoute(
            method="GET",
            template="/watch/v1/events/export",
            action="ExportEvents",
            summary="Export all events that match as JSON Lines or CSV",
            handle=self._export,
            query=ExportParameters,
            response=EventDocument,
            content_type=CONTENT_TYPES["jsonl"],
            other_content_types=(CONTENT_TYPES["csv"],),
        )

    async def _export(self, call: WatchCall) -> StreamingResponse:
        parameters: ExportParameters = call.query
        where = event_filter(parameters, account_id=call.watcher.account_id, region=self._region)
        call.watcher.require(ACTION, Role.READER, resource=where.stage_arn)
        with ExitStack() as resources:
            resources.callback(self._places.take(call.watcher).give_back)
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
        self, call: WatchCall, where: EventFilter, within: ExportRange, resources: ExitStack
    ) -> AsyncGenerator[bytes, None]:
        parameters: ExportParameters = call.query
        with resources:
            if heading := TEXT_FORMATS[parameters.format][0]():
                yield heading
            remaining: ExportRange | None = within
            while remaining is not None:
                # A key that has been revoked ends the response.
                call.watcher.require(ACTION, Role.READER, resource=where.stage_arn)
                part = await self._read(where, remaining, parameters.format)
                if part.content:
                    yield part.content
                remaining = part.remaining

    async def _read(self, where: EventFilter, within: ExportRange, form: str) -> ExportPart:
        for _ in range(_BUSY_ATTEMPTS):
            try:
                return await self._history.run(read_export_part, where, within, form)
            except ServerBusyError:
                await asyncio.sleep(self._busy_seconds)
        raise ServerBusyError("the export could not go on: try again")
