"""`GET /watch/v1/events/stream`: the live tail for one client, from a position of the past to what happens now.

    Last-Event-ID or `since`  ->  pages of the past, filtered  ->  join the live readers  ->  events that become durable
    neither                   ------------------------------------^

A page of the past is read when the one before has been sent, so a client that reads slowly makes the server read
slowly. It joins the live readers when it has reached what they still have in memory.
"""

import asyncio

from stagebook.api.routes.api_route import ApiCall, ApiRoute, Role, StreamingResponse
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.watch.event_parameters import event_filter
from stagebook.api.watch.live_tail.event_stream_format import CONTENT_TYPE, HEADERS
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.api.watch.live_tail.resume_position import HEADER, StreamParameters, given_event_id
from stagebook.api.watch.live_tail.tail_page import TailPage, read_tail_page
from stagebook.api.watch.live_tail.tail_stream import TailStream
from stagebook.history.composition_document import CompositionEventDocument
from stagebook.history.event_document import EventDocument
from stagebook.history.event_query import EventFilter
from stagebook.history.history_reader import HistoryReader
from stagebook.stage.clock import Randomness

EVENT_STREAM_PATH = "/watch/v1/events/stream"
ACTION = "StreamEvents"
READS_AT_ONCE = 4
"""Pages that are read for all streams together at a time. The history has other readers too."""
MINIMUM_RETRY_MS = 1_000
"""After a restart all clients connect again: each waits for a time of its own, up to three seconds."""


class EventStreams:
    """Answers the requests for event streams."""

    def __init__(
        self, *, live: LiveEvents, history: HistoryReader, places: ReaderPlaces, randomness: Randomness, region: str
    ) -> None:
        """Serve streams. `region` is that of the stages, for stages that are named by their id."""
        self._region = region
        self._live = live
        self._history = history
        self._places = places
        self._randomness = randomness
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    def route(self) -> ApiRoute:
        """Return the route of the event stream."""
        return ApiRoute(
            method="GET",
            template=EVENT_STREAM_PATH,
            action=ACTION,
            summary="Follow events of participants and compositions as server-sent events, from any position",
            handle=self.handle,
            query=StreamParameters,
            messages=(EventDocument, CompositionEventDocument),
            content_type=CONTENT_TYPE,
        )

    async def handle(self, call: ApiCall) -> StreamingResponse:
        """Begin a stream. Raises ApiRefusedError if the client may not read it, or if it begins nowhere."""
        watcher, parameters = call.caller, call.query

        where = event_filter(parameters, account_id=watcher.account_id, region=self._region)

        def check_access() -> None:
            watcher.require(f"stagebook:{ACTION}", Role.READER, resource=where.stage_arn)

        check_access()
        stream = TailStream(
            where, live=self._live, read=self._read, place=self._places.take(watcher), check_access=check_access
        )
        try:
            event_id = given_event_id(call.headers.get(HEADER), parameters)
            if event_id is not None:
                await stream.begin_after_event(event_id)
            elif where.since_ms is not None:
                stream.begin_at_time(where.since_ms)
        except BaseException:
            stream.close()
            raise
        return StreamingResponse(headers=HEADERS, parts=stream.messages(retry_ms=self._retry_ms()))

    async def _read(self, after: int, where: EventFilter, resumed_id: str | None) -> TailPage:
        async with self._reads:
            return await self._history.run(read_tail_page, after, where, resumed_id=resumed_id)

    def _retry_ms(self) -> int:
        return MINIMUM_RETRY_MS + int.from_bytes(self._randomness.token_bytes(2), "big") % (2 * MINIMUM_RETRY_MS)
