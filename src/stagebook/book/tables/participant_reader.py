"""Reads of the participants of a session: one of them, a page of those that match a filter, and those with open events.

Participants of a session are numbered from 1 without gaps, in the order in which they were first put. A page is
continued from a number.
"""

from itertools import groupby
from operator import attrgetter, itemgetter

from stagebook.book.book_values import OpenParticipant, Page, ParticipantFilter, RecordedEvent
from stagebook.book.tables import queries
from stagebook.book.tables.rows import RECORDING_STATE_CODE, STATE_CODE, Row, participant_record, recorded_event
from stagebook.book.tables.table_connection import UNDECODABLE, RowReader, TableConnection, position_before
from stagebook.stage.resources import ParticipantRecord, RecordingState

NUMBERS_PER_PAGE = 500
"""How many participants one page of those without a publication or recording looks at: less than a millisecond."""

_NUMBER_COLUMN = 9
"""The column of a participant's number in LIST_OPEN_PARTICIPANTS. The count of an open event and the event follow."""

_sequence = attrgetter("sequence")


class ParticipantReader(RowReader):
    """The reads of `BookReader` that return participants. Only one thread may use it."""

    def __init__(self, connection: TableConnection, *, show_deleted_history: bool) -> None:
        super().__init__(connection)
        self._show = show_deleted_history

    def get_participant(self, stage_arn: str, session_id: str, participant_id: str) -> ParticipantRecord | None:
        """Return the participant in this session, or None."""
        rows = self._rows(
            queries.GET_PARTICIPANT, arn=stage_arn, session=session_id, participant=participant_id, show=self._show
        )
        return self._first(rows, participant_record)

    def get_numbered_participant(
        self, stage_arn: str, session_id: str, participant_id: str
    ) -> tuple[ParticipantRecord, int] | None:
        """Return the participant in this session, and its number (see `row_keys.py`), or None."""
        rows = self._rows(
            queries.GET_PARTICIPANT, arn=stage_arn, session=session_id, participant=participant_id, show=True
        )
        record = self._first(rows, participant_record)
        return None if record is None else (record, rows[0][-1])

    def list_participants(
        self,
        stage_arn: str,
        session_id: str,
        *,
        where: ParticipantFilter,
        after: int | None,
        limit: int,
    ) -> Page[ParticipantRecord]:
        """Return a page of the session's participants that match `where`.

        The participant that was first put last comes first. Putting a participant again does not move it.
        """
        if where.published is False or where.recording_state is RecordingState.DISABLED:
            return self._page_of_most(stage_arn, session_id, where, after=after, limit=limit)
        rows = self._participant_rows(stage_arn, session_id, where, show=self._show, after=after, limit=limit + 1)
        return self._page(rows, limit, participant_record)

    def _page_of_most(
        self, stage_arn: str, session_id: str, where: ParticipantFilter, *, after: int | None, limit: int
    ) -> Page[ParticipantRecord]:
        """Return a page of what most participants are: not published, or not recorded. Of NUMBERS_PER_PAGE numbers.

        Participants of a session are numbered from 1 without gaps.
        """
        if after is None:
            (last,) = self._rows(queries.LAST_PARTICIPANT_NUMBER, arn=stage_arn, session=session_id)[0]
            after = 1 + (last or 0)
        first = max(1, after - NUMBERS_PER_PAGE)
        rows = self._participant_rows(
            stage_arn, session_id, where, show=self._show, after=after, first=first, limit=limit + 1
        )
        page = self._page(rows, limit, participant_record)
        if page.next_position is None and first > 1:
            return Page(items=page.items, next_position=first)
        return page

    def list_open_participants(
        self, stage_arn: str, session_id: str, *, after: int | None, limit: int
    ) -> Page[OpenParticipant]:
        """Return a page of the participants with events that nothing has ended, also on a deleted stage."""
        rows = self._rows(
            queries.LIST_OPEN_PARTICIPANTS, arn=stage_arn, session=session_id, after=after or 0, limit=limit + 1
        )
        of_each = [list(rows) for _, rows in groupby(rows, itemgetter(_NUMBER_COLUMN))]
        shown = of_each[:limit]
        try:
            items = [_open_participant(rows) for rows in shown]
        except UNDECODABLE as error:
            raise self._connection.damaged(error) from error
        return Page(items=items, next_position=shown[-1][0][_NUMBER_COLUMN] if len(of_each) > limit else None)

    def _participant_rows(
        self,
        stage_arn: str,
        session_id: str,
        where: ParticipantFilter,
        *,
        show: bool,
        after: int | None,
        limit: int,
        first: int = 1,
    ) -> list[Row]:
        statement = queries.list_participants(
            by_user=where.user_id is not None,
            published=where.published,
            by_state=where.state is not None,
            recorded=None if where.recording_state is None else where.recording_state is not RecordingState.DISABLED,
        )
        return self._rows(
            statement,
            arn=stage_arn,
            session=session_id,
            show=show,
            after=position_before(after),
            first=first,
            limit=limit,
            user=where.user_id,
            state=None if where.state is None else STATE_CODE[where.state],
            recording=None if where.recording_state is None else RECORDING_STATE_CODE[where.recording_state],
        )


def _open_participant(rows: list[Row]) -> OpenParticipant:
    """Return a participant from one row for each of its open events."""
    record = participant_record(rows[0][:_NUMBER_COLUMN])
    events: list[RecordedEvent] = []
    for row in rows:
        events += [recorded_event(record.participant_id, row[_NUMBER_COLUMN + 2 :])] * row[_NUMBER_COLUMN + 1]
    return OpenParticipant(record=record, events=sorted(events, key=_sequence))
