"""Finding events without a server: by the search index, participant by participant if the session is known, or along
the log.

The search index belongs to the server, which keeps it up to date. A command uses it if it exists and few events are
missing in it, and reads the log otherwise, which takes as long as the book is large. A book in a database is searched
without an index.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

import msgspec

from stagebook.book.composition_log import LogEntry
from stagebook.book.event_log import LoggedEvent
from stagebook.book.tables.session_history import ParticipantChoice
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.export.export_pages import ExportRange, export_range
from stagebook.history.history_files import HistoryFiles
from stagebook.history.search.event_search import CATCH_UP_BATCHES, find_page
from stagebook.stage.errors import ServerBusyError

EVENTS_PER_READ = 1_000
_ACCOUNTS = "SELECT account_id FROM stage GROUP BY account_id"
_sequence = attrgetter("sequence")

Advance = Callable[[float], None]
"""Takes the part of the work that is done, from 0 to 1."""


def find_events(files: HistoryFiles, query: EventQuery, *, advance: Advance = lambda _: None) -> list[LogEntry]:
    """Return the first events that match, in the order of the query, at most `query.limit`.

    `advance` is called if the log is read.
    """
    pick = heapq.nsmallest if query.oldest_first else heapq.nlargest
    if query.where.session_id is not None:
        return pick(query.limit, _of_session(files, query.where), key=_sequence)
    if is_selective(query.where) and (files.has_index or not files.can_be_indexed):
        try:
            return pick(query.limit, _by_search(files, query), key=_sequence)
        except ServerBusyError:
            pass  # It is being built, or cannot be written.
    found: list[LogEntry] = []
    within = export_range(files, query.where)
    for page, position in _pages(files, within, oldest_first=query.oldest_first):
        matching = (event for event in page if within.after < event.sequence <= within.last)
        found += [event for event in matching if query.where.matches(event)]
        if len(found) >= query.limit:
            break
        done = within.fraction(position)
        advance(done if query.oldest_first else 1 - done)
    return found[: query.limit]


def is_selective(where: EventFilter) -> bool:
    """Return whether a filter may match so few events that most reads of the log would find none."""
    return where != EventFilter(account_id=where.account_id, since_ms=where.since_ms, until_ms=where.until_ms)


def _by_search(files: HistoryFiles, query: EventQuery) -> Iterator[LogEntry]:
    """Yield the first `query.limit` events of each account that match. Raises ServerBusyError without a full index."""
    given = query.where.account_id
    for account_id in _accounts(files) if given is None else [given]:
        where = msgspec.structs.replace(query.where, account_id=account_id)
        limit, position = query.limit, query.after
        while limit > 0:
            page = find_page(files, msgspec.structs.replace(query, where=where, limit=limit, after=position))
            yield from page.items
            limit, position = limit - len(page.items), page.next_position
            if position is None:
                break


def _accounts(files: HistoryFiles) -> Iterable[str]:
    """Return the accounts that a search can find. Raises ServerBusyError without a full index."""
    if not files.can_be_indexed:
        return [account_id for (account_id,) in files.tables.rows(_ACCOUNTS)]
    if not files.index.catch_up(maximum_batches=CATCH_UP_BATCHES).is_complete:
        raise ServerBusyError("the search index is being built")
    return files.index.accounts()


def _pages(files: HistoryFiles, within: ExportRange, *, oldest_first: bool) -> Iterator[tuple[list[LogEntry], int]]:
    """Yield pages of the log, and the position up to which it was read."""
    position = within.after if oldest_first else within.last + 1
    while position < within.last if oldest_first else position > within.after:
        read = files.log.read_entries_after if oldest_first else files.log.read_entries_before
        page = read(position, limit=EVENTS_PER_READ)
        if not page:
            return
        position = page[-1].sequence
        yield page, position


def _of_session(files: HistoryFiles, where: EventFilter) -> Iterator[LogEntry]:
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
