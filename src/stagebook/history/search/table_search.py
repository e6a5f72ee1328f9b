"""The search of events in the tables of a book that has no search index: a database that several nodes write.

An index beside the book would have to follow the book in the order of its sequence numbers. With several nodes, events
of different accounts become visible in another order, and a node that takes an account over would have to index its
past first. The database has everything at once.

A page examines a bounded number of events along their sequence numbers, those of other accounts too. If they hold fewer
matches than wanted, the page is short, and its position is that of the last examined event.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import TypeVar

from stagebook.book.book_values import Page
from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.composition_log import LogEntry
from stagebook.book.tables import search_queries as queries
from stagebook.book.tables.compositions.composition_rows import (
    COMPOSITION_CAUSE_CODE,
    COMPOSITION_ERROR_CODE_CODE,
    COMPOSITION_NAME_CODE,
    logged_composition_event,
)
from stagebook.book.tables.rows import CAUSE_CODE, ERROR_CODE_CODE, EVENT_NAME_CODE, Row
from stagebook.book.tables.table_connection import UNDECODABLE, Cell, TableConnection
from stagebook.book.tables.table_event_log import logged_event
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.stage.errors import InvalidInputError

EXAMINED_EVENTS = 20_000
"""The most events of participants that a page examines, and of compositions."""
_MAXIMUM_SEQUENCE = (1 << 63) - 1

_Member = TypeVar("_Member")
_sequence = attrgetter("sequence")


def find_in_tables(connection: TableConnection, query: EventQuery) -> Page[LogEntry]:
    """Return a page of the events of an account that match.

    Raises InvalidInputError for the id of several sessions, and ValueError for a filter without an account.
    """
    where = query.where
    if where.account_id is None:
        raise ValueError("a search is restricted to an account")
    bounds = _bounds(connection, query)
    if bounds is None or "" in (where.stage_arn, where.session_id, where.participant_id, where.composition_arn):
        return Page(items=[], next_position=None)
    # What is committed between two reads would be in the second one only.
    with connection.snapshot():
        end = _end(connection, query, bounds)
        if end is not None:
            bounds = bounds | {"last" if query.oldest_first else "first": end}
        # Several accounts can have events with the number of the last one that is examined.
        given: dict[str, Cell] = bounds | {"examined": 2 * EXAMINED_EVENTS, "limit": query.limit + 1}
        found: list[LogEntry] = []
        if where.can_match_participants:
            statement = queries.SEARCH_OLDEST_FIRST if query.oldest_first else queries.SEARCH_NEWEST_FIRST
            rows = connection.rows(statement, _of_participants(where) | given)
            found += _decoded(connection, logged_event, rows)
        if where.can_match_compositions:
            statement = (
                queries.SEARCH_COMPOSITIONS_OLDEST_FIRST
                if query.oldest_first
                else queries.SEARCH_COMPOSITIONS_NEWEST_FIRST
            )
            rows = connection.rows(statement, _of_compositions(where) | given)
            found += _decoded(connection, logged_composition_event, rows)
    found.sort(key=_sequence, reverse=not query.oldest_first)
    if len(found) > query.limit:
        return Page(items=found[: query.limit], next_position=found[query.limit - 1].sequence)
    return Page(items=found, next_position=end)


def _bounds(connection: TableConnection, query: EventQuery) -> dict[str, Cell] | None:
    """Return the first and the last sequence number that can match, None if none can."""
    where = query.where
    first, last = 0, _MAXIMUM_SEQUENCE
    if where.session_id is not None:
        given = {"session": where.session_id, "account": where.account_id, "stage": where.stage_arn or ""}
        rows = connection.rows(queries.SESSIONS_BY_ID, given)
        if len(rows) > 1:
            raise InvalidInputError(member="session", rule="is the id of several sessions: name the stage as well")
        if not rows:
            return None
        start_ms, end_ms = rows[0]
        first = start_ms << SEQUENCE_TIME_SHIFT
        last = _MAXIMUM_SEQUENCE if end_ms is None else ((end_ms + 1) << SEQUENCE_TIME_SHIFT) - 1
    if where.since_ms is not None:
        first = max(first, where.since_ms << SEQUENCE_TIME_SHIFT)
    if where.until_ms is not None:
        last = min(last, (where.until_ms << SEQUENCE_TIME_SHIFT) - 1)
    if query.after is not None and query.oldest_first:
        first = max(first, query.after + 1)
    elif query.after is not None:
        last = min(last, query.after - 1)
    return {"first": first, "last": last} if first <= last else None


def _end(connection: TableConnection, query: EventQuery, bounds: Mapping[str, Cell]) -> int | None:
    """Return the sequence number of the last event that is examined; None if all may be."""
    statements = (
        (queries.CUT_OLDEST_FIRST, queries.CUT_COMPOSITIONS_OLDEST_FIRST)
        if query.oldest_first
        else (queries.CUT_NEWEST_FIRST, queries.CUT_COMPOSITIONS_NEWEST_FIRST)
    )
    given = {**bounds, "offset": EXAMINED_EVENTS - 1}
    ends: list[int] = [row[0] for statement in statements for row in connection.rows(statement, given)]
    if not ends:
        return None
    return min(ends) if query.oldest_first else max(ends)


def _of_participants(where: EventFilter) -> dict[str, Cell]:
    errors = ERROR_CODE_CODE if where.any_error and where.error_code is None else [where.error_code]
    return {
        "account": where.account_id,
        "stage": where.stage_arn or "",
        "session": where.session_id or "",
        "participant": where.participant_id or "",
        "any_user": int(where.user_id is None),
        "user": where.user_id or "",
        "names": _bits(EVENT_NAME_CODE, where.names),
        "errors": _bits(ERROR_CODE_CODE, errors),
        "causes": _bits(CAUSE_CODE, [where.cause]),
    }


def _of_compositions(where: EventFilter) -> dict[str, Cell]:
    code = where.composition_error_code
    errors = COMPOSITION_ERROR_CODE_CODE if where.any_error and code is None else [code]
    return {
        "account": where.account_id,
        "stage": where.stage_arn or "",
        "composition": where.composition_arn or "",
        "names": _bits(COMPOSITION_NAME_CODE, where.composition_names),
        "errors": _bits(COMPOSITION_ERROR_CODE_CODE, errors),
        "causes": _bits(COMPOSITION_CAUSE_CODE, [where.composition_cause]),
    }


def _bits(codes: Mapping[_Member, int | None], members: Iterable[_Member]) -> int:
    """Return a set of codes as bits. Those that are None are in no set."""
    return sum(1 << code for code in {codes[member] for member in members} if code is not None)


def _decoded(connection: TableConnection, make: Callable[[Row], LogEntry], rows: Iterable[Row]) -> Iterable[LogEntry]:
    try:
        return [make(row) for row in rows]
    except UNDECODABLE as error:
        raise connection.damaged(error) from error
