"""`GET /watch/v1/sessions`, `/sessions/{session_id}` and `/sessions/{session_id}/attendance`.

The history processes do the work, in bounded steps. A client that disconnects ends the steps of an attendance sheet.
"""

from collections.abc import AsyncGenerator
from contextlib import ExitStack

import msgspec

from stagebook.api.routes.api_route import (
    ApiCall,
    ApiResponse,
    ApiRoute,
    Role,
    StreamingResponse,
    json_response,
)
from stagebook.api.routes.reader_places import ReaderPlaces
from stagebook.api.watch.export.response_parts import BUSY_SECONDS, PartReader
from stagebook.api.watch.list_cursor import ListCursors
from stagebook.api.watch.sessions.session_parameters import (
    EncodedSessionReport,
    SessionList,
    SessionParameters,
    SessionReport,
    SessionReportParameters,
    session_filter,
)
from stagebook.book.tables.session_history import ParticipantChoice, SessionEntry
from stagebook.history.export.event_lines import CONTENT_TYPES
from stagebook.history.history_reader import HistoryReader
from stagebook.history.sessions.attendance import attendance_heading
from stagebook.history.sessions.session_document import SessionTotalsDocument, session_document, totals_document
from stagebook.history.sessions.session_reads import (
    read_attendance,
    read_participants,
    read_session,
    read_sessions,
    read_totals,
)
from stagebook.history.sessions.session_totals import TotalsAccumulator
from stagebook.stage.clock import Clock
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.timestamps import iso8601

MAXIMUM_TOTALS_EVENTS = 1_000_000
"""How many events the totals of one request may take: about 3 s of a history process, in steps."""

_CSV_TYPE = CONTENT_TYPES["csv"]
_ATTENDANCE_ACTION = "GetSessionAttendance"


class SessionRoutes:
    """The routes of sessions. `region` is that of the stages, for stages that are named by their id.

    `places` are those of attendance sheets. One that has begun reads the history every `busy_seconds` while it is busy.
    """

    def __init__(
        self,
        *,
        history: HistoryReader,
        cursors: ListCursors,
        places: ReaderPlaces,
        clock: Clock,
        region: str,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._history = history
        self._part_reader = PartReader(history, busy_seconds=busy_seconds)
        self._cursors = cursors
        self._places = places
        self._region = region
        self._clock = clock

    def routes(self) -> list[ApiRoute]:
        """Return the routes."""
        return [
            ApiRoute(
                method="GET",
                template="/watch/v1/sessions",
                action="ListSessions",
                summary="List the sessions of all stages, the newest first",
                handle=self._list,
                query=SessionParameters,
                response=SessionList,
            ),
            ApiRoute(
                method="GET",
                template="/watch/v1/sessions/{session_id}",
                action="GetSession",
                summary="Report who was in a session: intervals, errors and totals",
                handle=self._show,
                query=SessionReportParameters,
                response=SessionReport,
            ),
            ApiRoute(
                method="GET",
                template="/watch/v1/sessions/{session_id}/attendance",
                action=_ATTENDANCE_ACTION,
                summary="The attendance sheet of a session as CSV",
                handle=self._attend,
                content_type=_CSV_TYPE,
            ),
        ]

    async def _list(self, call: ApiCall) -> ApiResponse:
        parameters: SessionParameters = call.query
        where = session_filter(parameters, account_id=call.caller.account_id, region=self._region)
        call.caller.require("stagebook:ListSessions", Role.READER, resource=where.stage_arn)
        binding = ("ListSessions", where)
        after = self._cursors.read(parameters.cursor, binding=binding)
        page = await self._history.run(read_sessions, where, after=after, limit=parameters.limit)
        cursor = self._cursors.make(page.next_position, binding=binding)
        return json_response(SessionList(sessions=page.sessions, next_cursor=cursor))

    async def _show(self, call: ApiCall) -> ApiResponse:
        parameters: SessionReportParameters = call.query
        session = await self._session(call, "stagebook:GetSession")
        choice = ParticipantChoice(participant_id=parameters.participant, user_id=parameters.user)
        binding = ("GetSession", session.account_id, session.key, choice)
        after = self._cursors.read(parameters.cursor, binding=binding) or 0
        now_ms = self._clock.now_ms()
        part = await self._history.run(
            read_participants, session, choice, after=after, limit=parameters.limit, now_ms=now_ms
        )
        has_totals = parameters.totals and parameters.cursor is None
        return json_response(
            EncodedSessionReport(
                session=session_document(session),
                as_of_time=iso8601(now_ms),
                totals=await self._totals(session, now_ms=now_ms) if has_totals else None,
                participants=msgspec.Raw(part.content),
                next_cursor=self._cursors.make(part.next_position, binding=binding),
            )
        )

    async def _attend(self, call: ApiCall) -> ApiResponse:
        session = await self._session(call, f"stagebook:{_ATTENDANCE_ACTION}")
        name = f'attachment; filename="{session.session_id}.csv"'.encode("ascii", "replace")
        headers = (
            (b"content-type", _CSV_TYPE.encode()),
            (b"content-disposition", name),
            (b"cache-control", b"no-store"),
        )
        with ExitStack() as resources:
            resources.callback(self._places.take(call.caller).give_back)
            # The generator releases the place at its end.
            return StreamingResponse(headers=headers, parts=self._sheet(call, session, resources.pop_all()))

    async def _sheet(self, call: ApiCall, session: SessionEntry, resources: ExitStack) -> AsyncGenerator[bytes, None]:
        """Yield the parts of the attendance sheet, each when the one before has been sent."""
        with resources:
            now_ms = self._clock.now_ms()
            position: int | None = 0
            heading = attendance_heading()
            while position is not None:
                # A key that has been revoked ends the response.
                call.caller.require(f"stagebook:{_ATTENDANCE_ACTION}", Role.READER, resource=session.stage_arn)
                part = await self._part_reader.run(read_attendance, session, after=position, now_ms=now_ms)
                yield heading + part.content
                heading, position = b"", part.next_position

    async def _session(self, call: ApiCall, action: str) -> SessionEntry:
        """Return the session of a request. Raises ResourceNotFoundError, and ApiRefusedError without the right."""
        session_id = call.path["session_id"]
        session = await self._history.run(read_session, session_id, account_id=call.caller.account_id)
        call.caller.require(action, Role.READER, resource=None if session is None else session.stage_arn)
        if session is None:
            raise ResourceNotFoundError(kind="session", name=session_id)
        return session

    async def _totals(self, session: SessionEntry, *, now_ms: int) -> SessionTotalsDocument | None:
        """Return the totals of a session, None if it has more events than MAXIMUM_TOTALS_EVENTS."""
        accumulator, position = TotalsAccumulator(now_ms=now_ms), 0
        while accumulator.events < MAXIMUM_TOTALS_EVENTS:
            step = await self._history.run(read_totals, session, accumulator, after=position)
            accumulator = step.accumulator
            if step.next_position is None:
                return totals_document(accumulator.totals())
            position = step.next_position
        return None
