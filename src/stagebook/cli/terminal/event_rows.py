"""Events and sessions as tables."""

from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from stagebook.book.composition_log import LogEntry, LoggedCompositionEvent
from stagebook.book.tables.session_history import SessionEntry
from stagebook.cli.terminal.terminal_text import plain
from stagebook.stage.composition.composition_events import CompositionEventName
from stagebook.stage.events import EventName
from stagebook.stage.timestamps import iso8601

_STYLES: dict[str, str] = {
    EventName.JOINED: "green",
    EventName.LEFT: "dim",
    EventName.PUBLISH_STARTED: "cyan",
    EventName.SUBSCRIBE_STARTED: "blue",
    EventName.PUBLISH_ERROR: "bold red",
    EventName.SUBSCRIBE_ERROR: "bold red",
    EventName.JOIN_ERROR: "bold red",
    EventName.RECORDING_START_FAILED: "bold red",
    EventName.RECORDING_END_FAILED: "bold red",
    CompositionEventName.COMPOSITION_FAILED: "bold red",
    CompositionEventName.COMPOSITION_DESTINATION_FAILED: "bold red",
}
_NAME_WIDTH = max(len(name) for name in EventName)
"""The names of events of compositions are longer, and rare."""


def new_table(*headings: str) -> Table:
    """Return an empty table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def event_table(events: Iterable[LogEntry]) -> Table:
    """Return a table of events."""
    table = new_table("Time (UTC)", "Event", "Participant", "User", "About", "Cause", "Session")
    for event in events:
        table.add_row(
            iso8601(event.time_ms),
            _name(event),
            *(plain(text) for text in _who(event)),
            plain(_about(event)),
            "" if event.event.cause is None else event.event.cause.value,
            plain("" if isinstance(event, LoggedCompositionEvent) else event.session_id),
        )
    return table


def event_line(event: LogEntry) -> Text:
    """Return one event as one line, for a terminal that scrolls."""
    line = Text(iso8601(event.time_ms) + " ", style="dim")
    name = _name(event)
    name.pad_right(max(0, _NAME_WIDTH - len(name)))
    line.append_text(name)
    for text in (*_who(event), _about(event)):
        if text:
            line.append_text(plain(" " + text))
    if event.event.cause is not None:
        line.append(f" ({event.event.cause.value})", style="dim")
    return line


def session_table(entries: Iterable[SessionEntry], *, now_ms: int) -> Table:
    """Return a table of sessions."""
    table = new_table("Session", "Stage", "Start (UTC)", "End (UTC)", "Duration", "Participants")
    for entry in entries:
        end_ms = now_ms if entry.end_ms is None else entry.end_ms
        table.add_row(
            plain(entry.session_id),
            plain(entry.stage_name or entry.stage_arn.rpartition("/")[2]),
            iso8601(entry.start_ms),
            Text("open", style="green") if entry.end_ms is None else iso8601(entry.end_ms),
            duration_text(max(0, end_ms - entry.start_ms)),
            str(entry.participants),
        )
    return table


def duration_text(duration_ms: int) -> str:
    """Return a duration as hours, minutes and seconds: `1:02:03`."""
    minutes, seconds = divmod(duration_ms // 1_000, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _name(event: LogEntry) -> Text:
    return Text(event.event.name.value, style=_STYLES.get(event.event.name, ""))


def _who(event: LogEntry) -> tuple[str, str]:
    """Return the participant and its user, empty for an event of a composition."""
    return ("", "") if isinstance(event, LoggedCompositionEvent) else (event.participant_id, event.user_id)


def _about(event: LogEntry) -> str:
    """Return what an event is about beside its participant: the error, the remote participant, the destination."""
    if isinstance(event, LoggedCompositionEvent):
        return ", ".join(_about_composition(event))
    of, parts = event.event, []
    if of.error_code is not None:
        parts.append(of.error_code.value)
    if of.remote_participant_id is not None:
        parts.append(of.remote_participant_id)
    if of.destination is not None:
        parts.append(f"{of.destination.stage_arn.rpartition('/')[2]} {of.destination.session_id}")
    if of.recording is not None:
        parts.append(f"{of.recording.bucket_name}/{of.recording.prefix}")
        parts += [] if of.recording.error_code is None else [of.recording.error_code.value]
    if of.detail is not None:
        parts.append(of.detail)
    return ", ".join(parts)


def _about_composition(logged: LoggedCompositionEvent) -> Iterator[str]:
    yield logged.composition_arn.rpartition(":")[2]
    if logged.event.destination_id is not None:
        yield f"destination {logged.event.destination_id}"
    if logged.event.error_code is not None:
        yield f"{logged.event.error_code.value}: {logged.event.reason}"
