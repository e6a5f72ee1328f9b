"""Reading the past of the tail in a history process: bounded pages, from the search index if there is a filter.

The index finds the events that match without reading the others. Without a filter, or while the index is not complete,
the event log is read.
"""

from collections.abc import Iterable

import msgspec

from stagebook.api.watch.live_tail.event_stream_format import event_message
from stagebook.api.watch.live_tail.live_reader import PART_SIZE_BYTES, stream_parts
from stagebook.book.composition_log import LogEntry
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.history_files import HistoryFiles
from stagebook.history.search.event_search import find_page
from stagebook.stage.errors import InvalidInputError, ServerBusyError

PAGE_EVENTS = 1_000
"""Events that are examined for one page."""
SEARCHED_EVENTS = 100
"""Events that are searched for one page."""
PAGE_SIZE_BYTES = 2 * PART_SIZE_BYTES
"""About how large a page is. It is held in memory while its reader takes it."""


class UnknownEventError(Exception):
    """The book has another event at the position of an id."""


class TailPage(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of events in order.

    `position` is the sequence number up to which the log was examined, and `last_sent` that of the last message.
    `is_last` means that the log had no more events.
    """

    parts: tuple[bytes, ...]
    position: int
    last_sent: int
    is_last: bool


def read_tail_page(files: HistoryFiles, after: int, where: EventFilter, *, resumed_id: str | None = None) -> TailPage:
    """Return the events after `after` that match.

    `resumed_id` is the event id that `after` was taken from. Raises UnknownEventError if the book has another event
    there; one that was deleted since is none.
    """
    if resumed_id is not None:
        _require_event(files, resumed_id, after, account_id=where.account_id)
    if where != EventFilter(account_id=where.account_id):
        try:
            return _page_of_search(files, after, where)
        except (ServerBusyError, InvalidInputError):
            # The index is not complete yet, or the id of a session is ambiguous: the log has everything.
            pass
    examined = files.log.read_entries_after(after, limit=PAGE_EVENTS)
    return _page(
        (logged for logged in examined if where.matches(logged)),
        after=after,
        examined_to=examined[-1].sequence if examined else after,
        is_last=len(examined) < PAGE_EVENTS,
    )


def _page_of_search(files: HistoryFiles, after: int, where: EventFilter) -> TailPage:
    """Return a page with the events that the search index finds: what does not match costs nothing."""
    query = EventQuery(where=where, limit=SEARCHED_EVENTS, oldest_first=True, after=after)
    found = find_page(files, query)
    end = found.next_position
    if end is None:
        end = found.items[-1].sequence if found.items else after
    return _page(found.items, after=after, examined_to=end, is_last=found.next_position is None)


def _page(matching: Iterable[LogEntry], *, after: int, examined_to: int, is_last: bool) -> TailPage:
    """Return a page of the events that match among those that were examined, cut at PAGE_SIZE_BYTES."""
    messages: list[tuple[int, bytes]] = []
    size_bytes = 0
    for logged in matching:
        message = event_message(logged)
        messages.append((logged.sequence, message))
        size_bytes += len(message)
        if size_bytes >= PAGE_SIZE_BYTES:
            examined_to, is_last = logged.sequence, False
            break
    return TailPage(
        parts=tuple(part.data for part in stream_parts(messages)),
        position=examined_to,
        last_sent=messages[-1][0] if messages else after,
        is_last=is_last,
    )


def _require_event(files: HistoryFiles, text: str, sequence: int, *, account_id: str | None) -> None:
    found = files.log.read_entries_after(sequence - 1, limit=1)
    # Whether other accounts have an event there is none of the caller's business.
    if found and found[0].sequence == sequence and found[0].account_id == account_id and text != found[0].event_id:
        raise UnknownEventError
