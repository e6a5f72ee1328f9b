"""Reads of sessions for the watch API. They run in a history process; each does a bounded amount of work.

A page of participants ends early once their events exceed EVENTS_PER_READ, and the totals of a session are accumulated
in steps of as many events. Only the events of one participant are never split.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from stagebook.book.tables.session_history import (
    ParticipantChoice,
    ParticipantHistory,
    SessionEntry,
    SessionFilter,
)
from stagebook.history.history_files import HistoryFiles
from stagebook.history.sessions.attendance import attendance_rows
from stagebook.history.sessions.participant_report import report_participant
from stagebook.history.sessions.session_document import (
    ParticipantReportDocument,
    SessionDocument,
    participant_document,
    session_document,
)
from stagebook.history.sessions.session_totals import TotalsAccumulator

EVENTS_PER_READ = 50_000
"""About 0.2 s of a history process."""

PARTICIPANTS_PER_SHEET_READ = 500

Made = TypeVar("Made")


class SessionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sessions, and the position of the next one."""

    sessions: list[SessionDocument]
    next_position: int | None


class ParticipantsPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the participants of a session in the form that is sent, and the position of the next part."""

    content: bytes
    next_position: int | None


class TotalsStep(msgspec.Struct, frozen=True, kw_only=True):
    """The totals so far, and the position of the next step; None if they are complete."""

    accumulator: TotalsAccumulator
    next_position: int | None


def read_sessions(files: HistoryFiles, where: SessionFilter, *, after: int | None, limit: int) -> SessionsPage:
    """Return a page of the sessions that match, newest first; see `SessionHistory.list_sessions`."""
    page = files.sessions.list_sessions(where, after=after, limit=limit)
    return SessionsPage(sessions=[session_document(entry) for entry in page.items], next_position=page.next_position)


def read_session(files: HistoryFiles, session_id: str, *, account_id: str) -> SessionEntry | None:
    """Return a session of an account, None if there is none with this id."""
    return files.sessions.find_session(session_id, account_id=account_id)


def read_participants(
    files: HistoryFiles, session: SessionEntry, choice: ParticipantChoice, *, after: int, limit: int, now_ms: int
) -> ParticipantsPart:
    """Return the documents of at most `limit` participants as a JSON array, in the order of their arrival."""

    def document(history: ParticipantHistory) -> ParticipantReportDocument:
        report = report_participant(history.events, session_end_ms=session.end_ms)
        return participant_document(history, report, now_ms=now_ms)

    histories = files.sessions.participants(session.key, choice=choice, after=after)
    documents, next_position = _bounded(files, histories, document, limit=limit)
    return ParticipantsPart(content=msgspec.json.encode(documents), next_position=next_position)


def read_totals(
    files: HistoryFiles, session: SessionEntry, accumulator: TotalsAccumulator, *, after: int
) -> TotalsStep:
    """Add the participants after `after` to the totals, until they have EVENTS_PER_READ events."""
    limit = accumulator.events + EVENTS_PER_READ
    for history in files.sessions.participants(session.key, after=after):
        files.check()
        accumulator.add(report_participant(history.events, session_end_ms=session.end_ms))
        if accumulator.events >= limit:
            return TotalsStep(accumulator=accumulator, next_position=history.number)
    return TotalsStep(accumulator=accumulator, next_position=None)


def read_attendance(files: HistoryFiles, session: SessionEntry, *, after: int, now_ms: int) -> ParticipantsPart:
    """Return rows of the attendance sheet of a session as CSV, without the heading."""

    def row(history: ParticipantHistory) -> bytes:
        return attendance_rows([history], session_end_ms=session.end_ms, now_ms=now_ms)

    histories = files.sessions.participants(session.key, after=after)
    rows, next_position = _bounded(files, histories, row, limit=PARTICIPANTS_PER_SHEET_READ)
    return ParticipantsPart(content=b"".join(rows), next_position=next_position)


def _bounded(
    files: HistoryFiles,
    histories: Iterable[ParticipantHistory],
    make: Callable[[ParticipantHistory], Made],
    *,
    limit: int,
) -> tuple[list[Made], int | None]:
    """Return what is made of the first participants, at most `limit`, and the position of the next part."""
    made: list[Made] = []
    events = position = 0
    for history in histories:
        if len(made) == limit or events >= EVENTS_PER_READ:
            return made, position
        files.check()
        made.append(make(history))
        events, position = events + len(history.events), history.number
    return made, None
