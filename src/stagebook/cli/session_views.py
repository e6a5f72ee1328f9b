"""What `stagebook sessions list` and `show` do."""

import argparse
import itertools
import sys

import msgspec
from rich.console import Console

from stagebook.book.tables.session_history import ParticipantChoice, SessionEntry, SessionFilter
from stagebook.cli.events.event_flags import open_history, stage_arn
from stagebook.cli.exit_codes import EXIT_OK, CommandFailedError
from stagebook.cli.terminal.event_rows import duration_text, new_table, session_table
from stagebook.cli.terminal.terminal_text import open_console, plain
from stagebook.history.history_files import HistoryFiles
from stagebook.history.sessions.attendance import attendance_heading, attendance_rows
from stagebook.history.sessions.participant_report import ParticipantReport, report_participant
from stagebook.history.sessions.session_document import (
    minutes,
    participant_document,
    session_document,
    totals_document,
)
from stagebook.history.sessions.session_totals import Peak, SessionTotals, TotalsAccumulator
from stagebook.server.system_clock import SystemClock
from stagebook.stage.timestamps import iso8601


def list_sessions(arguments: argparse.Namespace) -> int:
    """List sessions; return the exit code."""
    now_ms = SystemClock().now_ms()
    where = SessionFilter(
        stage_arn=stage_arn(arguments),
        is_open=None if arguments.state is None else arguments.state == "open",
        since_ms=None if arguments.since is None else arguments.since(now_ms),
        until_ms=None if arguments.until is None else arguments.until(now_ms),
        user_id=arguments.user,
    )
    with open_history(arguments) as files:
        entries = _find(files, where, limit=arguments.limit)
    if arguments.output == "json":
        _write_lines([session_document(entry) for entry in entries])
    else:
        open_console().print(session_table(entries, now_ms=now_ms))
    return EXIT_OK


def _find(files: HistoryFiles, where: SessionFilter, *, limit: int) -> list[SessionEntry]:
    found: list[SessionEntry] = []
    position: int | None = None
    while True:
        page = files.sessions.list_sessions(where, after=position, limit=limit - len(found))
        found += page.items
        position = page.next_position
        if position is None or len(found) >= limit:
            return found


def show_session(arguments: argparse.Namespace) -> int:
    """Show one session; return the exit code. Raises CommandFailedError if there is none."""
    now_ms = SystemClock().now_ms()
    choice = ParticipantChoice(participant_id=arguments.participant, user_id=arguments.user)
    with open_history(arguments) as files:
        session = files.sessions.find_session(arguments.session)
        if session is None:
            raise CommandFailedError(f"there is no session {arguments.session} in this book")
        if arguments.output == "csv":
            _write_attendance(files, session, choice, now_ms=now_ms)
            return EXIT_OK
        totals = _totals(files, session, now_ms=now_ms)
        if arguments.output == "json":
            _write_lines([{"session": session_document(session), "totals": totals_document(totals)}])
            _write_participants(files, session, choice, now_ms=now_ms)
            return EXIT_OK
        console = open_console()
        _print_totals(console, session, totals, now_ms=now_ms)
        _print_participants(console, files, session, choice, limit=arguments.limit, now_ms=now_ms)
    return EXIT_OK


def _totals(files: HistoryFiles, session: SessionEntry, *, now_ms: int) -> SessionTotals:
    accumulator = TotalsAccumulator(now_ms=now_ms)
    for history in files.sessions.participants(session.key):
        accumulator.add(report_participant(history.events, session_end_ms=session.end_ms))
    return accumulator.totals()


def _write_attendance(files: HistoryFiles, session: SessionEntry, choice: ParticipantChoice, *, now_ms: int) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(attendance_heading())
    for history in files.sessions.participants(session.key, choice=choice):
        sys.stdout.buffer.write(attendance_rows([history], session_end_ms=session.end_ms, now_ms=now_ms))
    sys.stdout.buffer.flush()


def _write_participants(files: HistoryFiles, session: SessionEntry, choice: ParticipantChoice, *, now_ms: int) -> None:
    for history in files.sessions.participants(session.key, choice=choice):
        report = report_participant(history.events, session_end_ms=session.end_ms)
        _write_lines([participant_document(history, report, now_ms=now_ms)])


def _print_totals(console: Console, session: SessionEntry, totals: SessionTotals, *, now_ms: int) -> None:
    end_ms = now_ms if session.end_ms is None else session.end_ms
    console.print(plain(f"Session {session.session_id} of {session.stage_name or session.stage_arn}", style="bold"))
    end = "open" if session.end_ms is None else iso8601(session.end_ms)
    console.print(f"{iso8601(session.start_ms)} to {end}, {duration_text(max(0, end_ms - session.start_ms))}")
    table = new_table("Total", "")
    for name, value in (
        ("events", f"{totals.events:,}"),
        ("participants", f"{totals.participants:,}"),
        ("refused participants", f"{totals.refused_participants:,}"),
        ("most participants at once", _peak(totals.peak_participants)),
        ("most publishers at once", _peak(totals.peak_publishers)),
        ("participant minutes", f"{minutes(totals.participant_ms):,.3f}"),
        ("publisher minutes", f"{minutes(totals.publisher_ms):,.3f}"),
        ("subscriber minutes", f"{minutes(totals.subscriber_ms):,.3f}"),
        *((f"{code.value}", f"{count:,}") for code, count in totals.error_counts.items()),
        *((f"left: {cause.value}", f"{count:,}") for cause, count in totals.left_causes.items()),
    ):
        table.add_row(name, value)
    console.print(table)


def _peak(peak: Peak) -> str:
    return f"{peak.number:,}" + ("" if peak.time_ms is None else f" at {iso8601(peak.time_ms)}")


def _print_participants(
    console: Console,
    files: HistoryFiles,
    session: SessionEntry,
    choice: ParticipantChoice,
    *,
    limit: int,
    now_ms: int,
) -> None:
    table = new_table(
        "Participant",
        "User",
        "First join",
        "Last leave",
        "Present",
        "Published",
        "Watched",
        "Recorded",
        "Errors",
        "Left because",
    )
    histories = files.sessions.participants(session.key, choice=choice)
    for history in itertools.islice(histories, limit):
        report = report_participant(history.events, session_end_ms=session.end_ms)
        table.add_row(
            plain(history.record.participant_id), plain(history.record.user_id), *_cells(report, now_ms=now_ms)
        )
    console.print(table)
    if next(histories, None) is not None:
        console.print(f"The first {limit:,} participants; --limit shows more.", style="dim")


def _cells(report: ParticipantReport, *, now_ms: int) -> list[str]:
    first = report.joined[0] if report.joined else None
    last = report.joined[-1] if report.joined else None
    return [
        "" if first is None else iso8601(first.start_ms),
        "" if last is None else "on stage" if last.end_ms is None else iso8601(last.end_ms),
        duration_text(report.joined_ms(now_ms)),
        duration_text(report.published_ms(now_ms)),
        duration_text(report.watched_ms(now_ms)),
        _recorded(report),
        str(len(report.errors)) if report.errors else "",
        "" if last is None or last.end_cause is None else last.end_cause.value,
    ]


def _recorded(report: ParticipantReport) -> str:
    """Return how much was recorded, and whether a recording goes on or has failed."""
    if not report.recordings:
        return ""
    parts = [duration_text(report.recorded_ms())]
    if any(recording.end is None for recording in report.recordings):
        parts.append("active")
    if any(recording.error_code is not None for recording in report.recordings):
        parts.append("failed")
    return ", ".join(parts)


def _write_lines(values: list[object]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.Encoder().encode_lines(values))
    sys.stdout.buffer.flush()
