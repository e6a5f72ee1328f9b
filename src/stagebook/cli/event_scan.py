"""Finding events without a server: along the log, or participant by participant if the session is known."""

import heapq
from collections.abc import Callable, Iterator

from stagebook.book.event_log import LoggedEvent
from stagebook.book.sqlite.session_history import ParticipantChoice
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.export.export_pages import ExportRange, export_range
from stagebook.history.history_files import HistoryFiles

EVENTS_PER_READ = 1_000

Advance = Callable[[float], None]
"""Takes the part of the work that is done, from 0 to 1."""


def find_events(files: HistoryFiles, query: EventQuery, *, advance: Advance = lambda _: None) -> list[LoggedEvent]:
    """Return the first events that match, in the order of the query, at most `query.limit`."""
    if query.where.session_id is not None:
        pick = heapq.nsmallest if query.oldest_first else heapq.nlargest
        return pick(query.limit, _of_session(files, query.where), key=lambda event: event.sequence)
    found: list[LoggedEvent] = []
    within = export_range(files, query.where)
    for page, position in _pages(files, within, oldest_first=query.oldest_first):
        matching = (event for event in page if within.after < event.sequence <= within.last)
        found += [event for event in matching if query.where.matches(event)]
        if len(found) >= query.limit:
            break
        done = within.fraction(position)
        advance(done if query.oldest_first else 1 - done)
    return found[: query.limit]


def _pages(files: HistoryFiles, within: ExportRange, *, oldest_first: bool) -> Iterator[tuple[list[LoggedEvent], int]]:
    """Yield pages of the log, and the position up to which it was read."""
    position = within.after if oldest_first else within.last + 1
    while position < within.last if oldest_first else position > within.after:
        read = files.log.read_after if oldest_first else files.log.read_before
        page = read(position, limit=EVENTS_PER_READ)
        if not page:
            return
        position = page[-1].sequence
        yield page, position


def _of_session(files: HistoryFiles, where: EventFilter) -> Iterator[LoggedEvent]:
    session = files.sessions.find_session(where.session_id or "", account_id=where.account_id)
    if session is None:
        return
    choice = ParticipantChoice(participant_id=where.participant_id, user_id=where.user_id)
    for history in files.sessions.participants(session.key, choice=choice):
        for recorded in history.events:
            event = LoggedEvent(
                account_id=session.account_id,
                stage_arn=session.stage_arn,
                session_id=session.session_id,
                user_id=history.record.user_id,
                recorded=recorded,
            )
            if where.matches(event):
                yield event
