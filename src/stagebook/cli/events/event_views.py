"""What `stagebook events list`, `tail` and `timeline` do.

The book is opened read-only. Each read is short, so a running server is not held up.
"""

import argparse
import itertools
import select
import sys
from collections.abc import Iterable

import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stagebook.book.composition_log import LogEntry
from stagebook.book.tables.session_history import ParticipantChoice
from stagebook.cli.events.event_flags import event_filter, open_history
from stagebook.cli.events.event_scan import find_events
from stagebook.cli.exit_codes import EXIT_OK, CommandFailedError
from stagebook.cli.terminal.event_rows import event_line, event_table
from stagebook.cli.terminal.lane_chart import Lane, print_chart
from stagebook.cli.terminal.terminal_text import open_console
from stagebook.history.event_query import EventQuery
from stagebook.history.export.event_lines import json_lines
from stagebook.history.history_files import HistoryFiles
from stagebook.history.sessions.participant_report import report_participant
from stagebook.server.system_clock import SystemClock

POLL_SECONDS = 0.25
"""How often `tail` looks for new events. A look that finds none reads one row."""

EVENTS_PER_READ = 1_000
EARLIER_MS = 3_600_000
"""How far `tail` looks back for the events that it shows first, unless `--since` says it."""


def list_events(arguments: argparse.Namespace) -> int:
    """List events; return the exit code."""
    query = EventQuery(
        where=event_filter(arguments, now_ms=SystemClock().now_ms()),
        limit=arguments.limit,
        oldest_first=arguments.order == "asc",
    )
    with open_history(arguments) as files:
        events = _find(files, query)
    _print(arguments, events)
    return EXIT_OK


def tail_events(arguments: argparse.Namespace) -> int:
    """Show new events until Ctrl-C."""
    where = event_filter(arguments, now_ms=SystemClock().now_ms())
    with open_history(arguments) as files:
        position = files.log.last_sequence()
        since_ms = SystemClock().now_ms() - EARLIER_MS if where.since_ms is None else where.since_ms
        earlier = msgspec.structs.replace(where, since_ms=since_ms)
        newest = _find(files, EventQuery(where=earlier, limit=arguments.limit))
        _follow(arguments, [event for event in reversed(newest) if event.sequence <= position])
        while True:
            while events := files.log.read_entries_after(position, limit=EVENTS_PER_READ):
                position = events[-1].sequence
                _follow(arguments, [event for event in events if where.matches(event)])
            _wait(POLL_SECONDS)


def draw_timeline(arguments: argparse.Namespace) -> int:
    """Draw the participants of a session; return the exit code. Raises CommandFailedError if there is none."""
    console = open_console()
    with open_history(arguments) as files:
        session = files.sessions.find_session(arguments.session)
        if session is None:
            raise CommandFailedError(f"there is no session {arguments.session} in this book")
        choice = ParticipantChoice(participant_id=arguments.participant, user_id=arguments.user)
        histories = files.sessions.participants(session.key, choice=choice)
        lanes = [
            Lane(
                label=history.record.user_id or history.record.participant_id,
                report=report_participant(history.events, session_end_ms=session.end_ms),
            )
            for history in itertools.islice(histories, arguments.limit)
        ]
        more = next(histories, None) is not None
    end_ms = max(SystemClock().now_ms(), session.start_ms) if session.end_ms is None else session.end_ms
    print_chart(console, lanes, start_ms=session.start_ms, end_ms=end_ms)
    if more:
        console.print(f"The first {arguments.limit} participants; --limit shows more.", style="dim")
    return EXIT_OK


def _find(files: HistoryFiles, query: EventQuery) -> list[LogEntry]:
    """Return the events of a query. A terminal shows how far the log has been read, if it is."""
    console = open_console(stderr=True)
    columns = (TextColumn("without the search index: reading the log"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("scan", total=1.0, visible=False)
        return find_events(files, query, advance=lambda done: progress.update(task, completed=done, visible=True))


def _print(arguments: argparse.Namespace, events: list[LogEntry]) -> None:
    if arguments.output == "json":
        _write(json_lines(events))
    else:
        open_console().print(event_table(events))


def _follow(arguments: argparse.Namespace, events: Iterable[LogEntry]) -> None:
    """Write events line by line, and let the reader of a pipe have them at once."""
    if arguments.output == "json":
        _write(json_lines(list(events)))
    else:
        console = open_console()
        for event in events:
            console.print(event_line(event), soft_wrap=True)
    sys.stdout.flush()


def _wait(seconds: float) -> None:
    """Wait. Raises BrokenPipeError as soon as the reader of a pipe has ended, though there is nothing to write."""
    errors = select.poll()
    errors.register(sys.stdout.fileno(), 0)
    if errors.poll(seconds * 1_000):
        raise BrokenPipeError


def _write(text: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
