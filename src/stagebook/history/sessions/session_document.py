"""The JSON form of sessions and their reports, which is the same in the watch API and on the command line.

Times are ISO 8601 in UTC with milliseconds. A duration is given twice: in whole milliseconds, which is exact, and in
minutes, which is the exact sum rounded to MINUTE_DIGITS.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from stagebook.book.tables.session_history import ParticipantHistory, SessionEntry
from stagebook.history.sessions.participant_report import Interval, ParticipantReport, ReportedError
from stagebook.history.sessions.session_recording import SessionRecording
from stagebook.history.sessions.session_totals import Peak, SessionTotals
from stagebook.stage.events import Cause, ErrorCode, EventName, RecordingErrorCode
from stagebook.stage.resources import RecordingState
from stagebook.stage.timestamps import iso8601

MINUTE_DIGITS = 3
_MINUTE_MS = 60_000
_About = TypeVar("_About")

MAXIMUM_LISTED = 1_000
"""How many intervals, and how many errors, a participant's document lists; the newest ones. Its sums count all."""


class SessionDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One session. `end_time` is null while it is open. `participants` counts all that have events."""

    session_id: str
    stage_arn: str
    stage_name: str
    account_id: str
    state: str
    start_time: str
    end_time: str | None
    participants: int


class IntervalDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One interval. `end` is null while it is open. The members after it apply to some kinds of intervals only."""

    start: str
    end: str | None
    end_cause: Cause | None = None
    end_detail: str | None = None
    participant_id: str | None = None
    stage_arn: str | None = None
    session_id: str | None = None


class ErrorDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One event with an error code."""

    time: str
    name: EventName
    error_code: ErrorCode
    remote_participant_id: str | None = None
    cause: Cause | None = None
    detail: str | None = None


class SessionRecordingDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One recording of a participant. `end` is null while it goes on; see `SessionRecording`."""

    start: str
    end: str | None
    s3_bucket_name: str
    s3_prefix: str
    duration_ms: int | None = None
    error_code: RecordingErrorCode | None = None
    reason: str | None = None


class ParticipantReportDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One participant of a session.

    `watched` names the participant that was watched, `replicated` the stage and the session of the destination.
    `recording_state` and the two members after it are those of GetParticipant: of its newest recording. `recorded_ms`
    is the sum of all that have ended. `truncated` says that a list has more than MAXIMUM_LISTED items, of which the
    newest are shown.
    """

    participant_id: str
    user_id: str
    attributes: Mapping[str, str]
    state: str
    replication_type: str
    joined: list[IntervalDocument]
    published: list[IntervalDocument]
    watched: list[IntervalDocument]
    replicated: list[IntervalDocument]
    errors: list[ErrorDocument]
    recording_state: RecordingState
    recording_s3_bucket_name: str
    recording_s3_prefix: str
    recordings: list[SessionRecordingDocument]
    joined_ms: int
    joined_minutes: float
    published_ms: int
    published_minutes: float
    watched_ms: int
    watched_minutes: float
    recorded_ms: int
    recorded_minutes: float
    events: int
    truncated: bool


class PeakDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The largest number at one moment, and when it was reached first; null if the number is 0."""

    number: int
    time: str | None


class SessionTotalsDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The totals of a session; see `SessionTotals`."""

    events: int
    participants: int
    refused_participants: int
    peak_participants: PeakDocument
    peak_publishers: PeakDocument
    participant_ms: int
    participant_minutes: float
    publisher_ms: int
    publisher_minutes: float
    subscriber_ms: int
    subscriber_minutes: float
    event_counts: Mapping[EventName, int]
    error_counts: Mapping[ErrorCode, int]
    left_causes: Mapping[Cause, int]


def minutes(duration_ms: int) -> float:
    """Return milliseconds as minutes, rounded to MINUTE_DIGITS."""
    return round(duration_ms / _MINUTE_MS, MINUTE_DIGITS)


def session_document(entry: SessionEntry) -> SessionDocument:
    """Return the document of a session."""
    return SessionDocument(
        session_id=entry.session_id,
        stage_arn=entry.stage_arn,
        stage_name=entry.stage_name,
        account_id=entry.account_id,
        state="OPEN" if entry.end_ms is None else "ENDED",
        start_time=iso8601(entry.start_ms),
        end_time=_time(entry.end_ms),
        participants=entry.participants,
    )


def participant_document(
    history: ParticipantHistory, report: ParticipantReport, *, now_ms: int
) -> ParticipantReportDocument:
    """Return the document of a participant. Open intervals count up to `now_ms`, milliseconds since the epoch."""
    watched = [_interval(each, participant_id=who) for who, each in _pairs(report.watched)]
    replicated = [
        _interval(each, stage_arn=where.stage_arn, session_id=where.session_id)
        for where, each in _pairs(report.replicated)
    ]
    lists = (report.joined, report.published, watched, replicated, report.errors, report.recordings)
    joined_ms, published_ms, watched_ms = (
        report.joined_ms(now_ms),
        report.published_ms(now_ms),
        report.watched_ms(now_ms),
    )
    return ParticipantReportDocument(
        participant_id=history.record.participant_id,
        user_id=history.record.user_id,
        attributes=history.record.attributes,
        state=history.record.state.value,
        replication_type=history.record.replication_type.value,
        joined=[_interval(each) for each in report.joined[-MAXIMUM_LISTED:]],
        published=[_interval(each) for each in report.published[-MAXIMUM_LISTED:]],
        watched=watched[-MAXIMUM_LISTED:],
        replicated=replicated[-MAXIMUM_LISTED:],
        errors=[_error(each) for each in report.errors[-MAXIMUM_LISTED:]],
        recording_state=history.record.recording_state,
        recording_s3_bucket_name=history.record.recording_bucket_name,
        recording_s3_prefix=history.record.recording_prefix,
        recordings=[_recording(each) for each in report.recordings[-MAXIMUM_LISTED:]],
        joined_ms=joined_ms,
        joined_minutes=minutes(joined_ms),
        published_ms=published_ms,
        published_minutes=minutes(published_ms),
        watched_ms=watched_ms,
        watched_minutes=minutes(watched_ms),
        recorded_ms=report.recorded_ms(),
        recorded_minutes=minutes(report.recorded_ms()),
        events=sum(report.event_counts.values()),
        truncated=max(map(len, lists)) > MAXIMUM_LISTED,
    )


def totals_document(totals: SessionTotals) -> SessionTotalsDocument:
    """Return the document of the totals of a session."""
    return SessionTotalsDocument(
        events=totals.events,
        participants=totals.participants,
        refused_participants=totals.refused_participants,
        peak_participants=_peak(totals.peak_participants),
        peak_publishers=_peak(totals.peak_publishers),
        participant_ms=totals.participant_ms,
        participant_minutes=minutes(totals.participant_ms),
        publisher_ms=totals.publisher_ms,
        publisher_minutes=minutes(totals.publisher_ms),
        subscriber_ms=totals.subscriber_ms,
        subscriber_minutes=minutes(totals.subscriber_ms),
        event_counts=totals.event_counts,
        error_counts=totals.error_counts,
        left_causes=totals.left_causes,
    )


def _pairs(intervals: Mapping[_About, tuple[Interval, ...]]) -> list[tuple[_About, Interval]]:
    """Return what each interval is about, with the interval, in the order of their starts."""
    pairs = [(about, interval) for about, each in intervals.items() for interval in each]
    return sorted(pairs, key=lambda pair: pair[1].start)


def _interval(
    interval: Interval,
    *,
    participant_id: str | None = None,
    stage_arn: str | None = None,
    session_id: str | None = None,
) -> IntervalDocument:
    return IntervalDocument(
        start=iso8601(interval.start_ms),
        end=_time(interval.end_ms),
        end_cause=interval.end_cause,
        end_detail=interval.end_detail,
        participant_id=participant_id,
        stage_arn=stage_arn,
        session_id=session_id,
    )


def _error(error: ReportedError) -> ErrorDocument:
    return ErrorDocument(
        time=iso8601(error.time_ms),
        name=error.name,
        error_code=error.code,
        remote_participant_id=error.remote_participant_id,
        cause=error.cause,
        detail=error.detail,
    )


def _recording(recording: SessionRecording) -> SessionRecordingDocument:
    return SessionRecordingDocument(
        start=iso8601(recording.start_ms),
        end=_time(recording.end_ms),
        s3_bucket_name=recording.bucket_name,
        s3_prefix=recording.prefix,
        duration_ms=recording.duration_ms,
        error_code=recording.error_code,
        reason=recording.reason,
    )


def _peak(peak: Peak) -> PeakDocument:
    return PeakDocument(number=peak.number, time=_time(peak.time_ms))


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else iso8601(time_ms)
