"""`GET /watch/v1/events`: the search of events across all stages of the caller's account.

A history process finds the events and encodes them; this module only passes on its bytes. `nextCursor` is the position
of the page, sealed with the query and the account: it is valid for the same query only. `limit` may change.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from stagebook.api.http_responses import HttpResponse
from stagebook.api.position_seal import PositionSeal
from stagebook.api.watch.event_parameters import EventParameters, event_filter, milliseconds, time_parameter
from stagebook.api.watch.watch_route import Role, WatchCall, WatchRoute, json_response
from stagebook.history.event_document import EventDocument
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.history_reader import HistoryReader
from stagebook.history.search.event_search import search_events
from stagebook.stage.errors import InvalidInputError

EVENTS_PATH = "/watch/v1/events"
ACTION = "SearchEvents"
MAXIMUM_LIMIT = 1_000
CURSOR_PURPOSE = b"event search"

_MAXIMUM_CURSOR_LENGTH = 128


class SearchParameters(EventParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of the search."""

    until: Annotated[datetime, time_parameter("Time after the newest event.")] | None = None
    order: Annotated[Literal["asc", "desc"], msgspec.Meta(description="`desc`: newest first, `asc`: oldest first.")] = (
        "desc"
    )
    limit: Annotated[
        int, msgspec.Meta(ge=1, le=MAXIMUM_LIMIT, description="The largest number of events in the response.")
    ] = 50
    cursor: Annotated[
        str,
        msgspec.Meta(max_length=_MAXIMUM_CURSOR_LENGTH, description="`nextCursor` of the response before."),
    ] = ""


class EventsDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of events. Without `next_cursor` it is the last one; with it, the page may be shorter than `limit`."""

    events: tuple[EventDocument, ...]
    next_cursor: str | None = None


class EncodedEventsDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An `EventsDocument` whose events are encoded already."""

    events: msgspec.Raw
    next_cursor: str | None = None


class SearchRoutes:
    """The route of the search. `region` is that of the stages, for stages that are named by their id."""

    def __init__(self, history: HistoryReader, *, seal: PositionSeal, region: str) -> None:
        self._history = history
        self._seal = seal
        self._region = region

    def routes(self) -> tuple[WatchRoute, ...]:
        """Return the route."""
        return (
            WatchRoute(
                method="GET",
                template=EVENTS_PATH,
                action=ACTION,
                summary="Find events by stage, session, participant, user, name, error, cause and time",
                handle=self.handle,
                query=SearchParameters,
                response=EventsDocument,
            ),
        )

    async def handle(self, call: WatchCall) -> HttpResponse:
        """Return a page of events. Raises InvalidInputError for a cursor of another query."""
        parameters: SearchParameters = call.query
        where = self._where(parameters, account_id=call.watcher.account_id)
        call.watcher.require(f"stagebook:{ACTION}", Role.READER, resource=where.stage_arn)
        binding = _binding(where, parameters.order)
        query = EventQuery(
            where=where,
            limit=parameters.limit,
            oldest_first=parameters.order == "asc",
            after=self._position(parameters.cursor, binding),
        )
        page = await self._history.run(search_events, query)
        cursor = None if page.next_position is None else self._seal.seal(page.next_position, binding=binding)
        return json_response(EncodedEventsDocument(events=msgspec.Raw(page.events), next_cursor=cursor))

    def _where(self, parameters: SearchParameters, *, account_id: str) -> EventFilter:
        where = event_filter(parameters, account_id=account_id, region=self._region)
        until_ms = None if parameters.until is None else milliseconds(parameters.until)
        return msgspec.structs.replace(where, until_ms=until_ms)

    def _position(self, cursor: str, binding: object) -> int | None:
        if not cursor:
            return None
        position = self._seal.open(cursor, binding=binding)
        if position is None:
            raise InvalidInputError(member="cursor", rule="is not a cursor that was returned for the same query")
        return position


def _binding(where: EventFilter, order: str) -> Any:  # noqa: ANN401 - members of any type that JSON has
    members = msgspec.to_builtins(where)
    return (ACTION, order, {**members, "names": sorted(members["names"])})
