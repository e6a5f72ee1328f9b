"""The search of events across the participants, compositions, sessions and stages of an account.

Runs in a history process.

A page costs a bounded amount of work: the entries between its position and the last one that may be examined. If they
hold fewer matches than wanted, the page is short, and its position is that of the last examined entry.

A book in a database has no search index: its tables are searched (`table_search.py`).

The search index only proposes events. The book has the last word: an event that it no longer has is left out, and so
is one that does not match.
"""

import msgspec

from stagebook.book.book_values import Page
from stagebook.book.composition_log import LogEntry
from stagebook.history.composition_document import entry_document
from stagebook.history.event_query import EventQuery
from stagebook.history.history_files import HistoryFiles
from stagebook.history.search.search_index import IndexProgress
from stagebook.history.search.search_keys import SearchKeys, search_keys
from stagebook.history.search.search_plan import SearchPlan, plans
from stagebook.stage.errors import ServerBusyError

MAXIMUM_EXAMINED = 20_000
"""The most entries that one page examines: 20 ms."""

FEW_ENTRIES = 2_000
"""A plan with fewer entries is good enough: others are not considered."""

CATCH_UP_BATCHES = 2
"""Batches of events that a search adds to the index before it. Usually one of a few events suffices."""


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a search: a JSON array of event documents, and the position of the next page, None at the end."""

    events: bytes
    next_position: int | None


def search_events(files: HistoryFiles, query: EventQuery) -> SearchPage:
    """Return a page of the durable events that match, with everything that was durable at the call.

    The filter must have an account. Raises ServerBusyError while a large book is indexed for the first time, and
    InvalidInputError for a session id that does not name one session.
    """
    found = find_page(files, query)
    return SearchPage(
        events=msgspec.json.encode([entry_document(logged) for logged in found.items]),
        next_position=found.next_position,
    )


def find_page(files: HistoryFiles, query: EventQuery) -> Page[LogEntry]:
    """Return a page as `search_events` does, with the events themselves. It raises the same."""
    if not files.can_be_indexed:
        # Imported late: servers with a SQLite book do not need it.
        from stagebook.history.search.table_search import find_in_tables

        return find_in_tables(files.tables, query)
    progress = files.index.catch_up(maximum_batches=CATCH_UP_BATCHES)
    if not progress.is_complete:
        raise _unfinished(progress)
    keys = search_keys(files.index, query)
    if keys is None:
        return Page(items=[], next_position=None)
    sequences, position = _page(files, keys, query)
    found = {logged.sequence: logged for logged in files.log.read_entries_at(sequences)}
    matching = [found[each] for each in sequences if each in found and query.where.matches(found[each])]
    return Page(items=matching, next_position=position)


def _unfinished(progress: IndexProgress) -> ServerBusyError:
    return ServerBusyError(
        f"the search index is being built and has reached {progress.share:.0%} of the book: try again later"
    )


def _page(files: HistoryFiles, keys: SearchKeys, query: EventQuery) -> tuple[list[int], int | None]:
    """Return the sequence numbers of a page, and the position after which the next one starts."""
    bounds = {"first": keys.first, "last": keys.last}
    plan, is_small = _choose(files, keys)
    end: int | None = None
    if plan.conditions and not is_small:
        candidate = plan.candidate(oldest_first=query.oldest_first)
        rows = files.index.rows(candidate, **bounds, offset=MAXIMUM_EXAMINED - 1)
        end = rows[0][0] if rows else None
        if end is not None:
            bounds["last" if query.oldest_first else "first"] = end
    rows = files.index.rows(plan.matching(oldest_first=query.oldest_first), **bounds, limit=query.limit + 1)
    sequences = [row[0] for row in rows[: query.limit]]
    return sequences, sequences[-1] if len(rows) > query.limit else end


def _choose(files: HistoryFiles, keys: SearchKeys) -> tuple[SearchPlan, bool]:
    """Return the first plan that has few entries, or else the first one; and whether it has few."""
    candidates = plans(keys)
    if not candidates[0].conditions:
        return candidates[0], True
    for plan in candidates:
        ((count,),) = files.index.rows(plan.count(), first=keys.first, last=keys.last, limit=FEW_ENTRIES)
        if count < FEW_ENTRIES:
            return plan, True
    return candidates[0], False
