"""The attendance sheet of a session: CSV with one row for each participant that joined or failed to, for spreadsheets.

Times are UTC in the form that spreadsheets read as a date and a time. Minutes are exact sums, rounded to MINUTE_DIGITS.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from stagebook.book.tables.session_history import ParticipantHistory
from stagebook.history.export.event_lines import csv_rows
from stagebook.history.sessions.participant_report import report_participant
from stagebook.history.sessions.session_document import minutes

ATTENDANCE_COLUMNS = (
    "User",
    "Participant",
    "First join (UTC)",
    "Last leave (UTC)",
    "Minutes present",
    "Minutes published",
    "Minutes watched",
    "Joins",
    "Errors",
    "Left because",
    "Attributes",
)
"""`Last leave` is empty for a participant that is on the stage or never joined."""


def attendance_rows(histories: Iterable[ParticipantHistory], *, session_end_ms: int | None, now_ms: int) -> bytes:
    """Return the rows of participants as CSV. Open intervals count up to `now_ms`, milliseconds since the epoch."""
    return csv_rows(_row(history, session_end_ms=session_end_ms, now_ms=now_ms) for history in histories)


def attendance_heading() -> bytes:
    """Return the first line of the sheet."""
    return csv_rows([ATTENDANCE_COLUMNS])


def _row(history: ParticipantHistory, *, session_end_ms: int | None, now_ms: int) -> Iterable[object]:
    record = history.record
    report = report_participant(history.events, session_end_ms=session_end_ms)
    first = report.joined[0] if report.joined else None
    last = report.joined[-1] if report.joined else None
    return (
        record.user_id,
        record.participant_id,
        _date(None if first is None else first.start_ms),
        _date(None if last is None else last.end_ms),
        minutes(report.joined_ms(now_ms)),
        minutes(report.published_ms(now_ms)),
        minutes(report.watched_ms(now_ms)),
        len(report.joined),
        len(report.errors),
        None if last is None or last.end_cause is None else last.end_cause.value,
        msgspec.json.encode(record.attributes).decode() if record.attributes else None,
    )


def _date(time_ms: int | None) -> str | None:
    if time_ms is None:
        return None
    return datetime.fromtimestamp(time_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
