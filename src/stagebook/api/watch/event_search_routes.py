"""`GET /watch/v1/events`: the search of events across all stages of the caller's account.

A history process finds the events and encodes them; this module only passes on its bytes. `nextCursor` is the position
of the page, sealed with the query and the account: it is valid for the same query only. `limit` may change.
"""

from typing import Annotated, Any, Literal

import msgspec

from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_route import ApiCall, ApiRoute, Role, json_response
from stagebook.api.watch.event_parameters import PastEventParameters, event_filter
from stagebook.api.watch.list_cursor import CursorParameter, ListCursors
from stagebook.history.composition_document import CompositionEventDocument
from stagebook.history.event_document import EventDocument
from stagebook.history.event_query import EventQuery
from stagebook.history.history_reader import HistoryReader
from stagebook.history.search.event_search import search_events

EVENTS_PATH = "/watch/v1/events"
ACTION = "SearchEvents"
MAXIMUM_LIMIT = 1_000

_EITHER_EVENT = msgspec.Meta(
    extra_json_schema={
        "items": {
            "anyOf": [
                {"$ref": f"#/components/schemas/{kind.__name__}"} for kind in (EventDocument, CompositionEventDocument)
            ]
        }
    }
)
"""msgspec has no type for an array of two structs that no tag distinguishes. The export describes both structs."""


class SearchParameters(PastEventParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of the search."""

    order: Annotated[Literal["asc", "desc"], msgspec.Meta(description="`desc`: newest first, `asc`: oldest first.")] = (
        "desc"
    )
    limit: Annotated[
        int, msgspec.Meta(ge=1, le=MAXIMUM_LIMIT, description="The largest number of events in the response.")
    ] = 50
    cursor: CursorParameter | None = None


class EventsDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of events. Without `next_cursor` it is the last one; with it, the page may be shorter than `limit`."""

    events: Annotated[tuple[Any, ...], _EITHER_EVENT]
    next_cursor: str | None = None


class EncodedEventsDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An `EventsDocument` whose events are encoded already."""

    events: msgspec.Raw
    next_cursor: str | None = None


class SearchRoutes:
    """The route of the search. `region` is that of the stages, for stages that are named by their id."""

    def __init__(self, history: HistoryReader, *, cursors: ListCursors, region: str) -> None:
        self._history = history
        self._cursors = cursors
        self._region = region

    def routes(self) -> tuple[ApiRoute, ...]:
        """Return the route."""
        return (
            ApiRoute(
                method="GET",
                template=EVENTS_PATH,
                action=ACTION,
                summary="Find events by stage, session, participant, user, composition, name, error, cause and time",
                handle=self.handle,
                query=SearchParameters,
                response=EventsDocument,
            ),
        )

    async def handle(self, call: ApiCall) -> HttpResponse:
        """Return a page of events. Raises InvalidInputError for a cursor of another query."""
        parameters: SearchParameters = call.query
        where = event_filter(parameters, account_id=call.caller.account_id, region=self._region)
        call.caller.require(f"stagebook:{ACTION}", Role.READER, resource=where.stage_arn)
        binding = (ACTION, parameters.order, where)
        query = EventQuery(
            where=where,
            limit=parameters.limit,
            oldest_first=parameters.order == "asc",
            after=self._cursors.read(parameters.cursor, binding=binding),
        )
        page = await self._history.run(search_events, query)
        cursor = self._cursors.make(page.next_position, binding=binding)
        return json_response(EncodedEventsDocument(events=msgspec.Raw(page.events), next_cursor=cursor))
