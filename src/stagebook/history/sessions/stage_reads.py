"""Reads of the overview of stages for the watch API. They run in a history process."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from stagebook.book.book_values import Page
from stagebook.book.changes import SEQUENCE_TIME_SHIFT, sequence_time_ms
from stagebook.history.event_query import EventFilter, EventQuery
from stagebook.history.history_files import HistoryFiles
from stagebook.history.search.event_search import find_page
from stagebook.stage.errors import ServerBusyError
from stagebook.stage.resources import Stage

EVENTS_PER_READ = 1_000
MAXIMUM_EVENTS = 20_000
"""How many events one count reads: about 0.1 s."""


class StageErrors(msgspec.Struct, frozen=True, kw_only=True):
    """How many errors each stage had, by its ARN, from `since_ms` on."""

    counts: Mapping[str, int]
    since_ms: int


def read_stages(files: HistoryFiles, account_id: str, *, after: int | None, limit: int) -> Page[Stage]:
    """Return a page of the stages of an account, without deleted ones, in the order of their creation."""
    return files.book.list_stages(account_id, after=after, limit=limit)


def read_stage_errors(files: HistoryFiles, account_id: str, *, since_ms: int) -> StageErrors:
    """Count the errors of all stages of an account since a time: the newest MAXIMUM_EVENTS at most.

    Without a complete search index, those among the newest MAXIMUM_EVENTS events of the book are counted. If the bound
    is reached, `since_ms` of the result is the time that the count reaches back to.
    """
    if not files.can_be_indexed:
        return _from_log(files, account_id, since_ms=since_ms)
    try:
        return _from_index(files, account_id, since_ms=since_ms)
    except ServerBusyError:
        return _from_log(files, account_id, since_ms=since_ms)


def _from_index(files: HistoryFiles, account_id: str, *, since_ms: int) -> StageErrors:
    where = EventFilter(account_id=account_id, any_error=True, since_ms=since_ms)
    counts: Counter[str] = Counter()
    position: int | None = None
    for _ in range(MAXIMUM_EVENTS // EVENTS_PER_READ):
        files.check()
        page = find_page(files, EventQuery(where=where, limit=EVENTS_PER_READ, after=position))
        counts.update(logged.stage_arn for logged in page.items)
        position = page.next_position
        if position is None:
            return StageErrors(counts=counts, since_ms=since_ms)
    return StageErrors(counts=counts, since_ms=since_ms if position is None else sequence_time_ms(position))


def _from_log(files: HistoryFiles, account_id: str, *, since_ms: int) -> StageErrors:
    counts: Counter[str] = Counter()
    first = (since_ms << SEQUENCE_TIME_SHIFT) - 1
    position = files.log.last_sequence() + 1
    for _ in range(MAXIMUM_EVENTS // EVENTS_PER_READ):
        files.check()
        page = files.log.read_entries_before(position, limit=EVENTS_PER_READ)
        for logged in page:
            if logged.sequence <= first:
                return StageErrors(counts=counts, since_ms=since_ms)
            if logged.event.error_code is not None and logged.account_id == account_id:
                counts[logged.stage_arn] += 1
        if len(page) < EVENTS_PER_READ:
            return StageErrors(counts=counts, since_ms=since_ms)
        position = page[-1].sequence
    return StageErrors(counts=counts, since_ms=sequence_time_ms(position))
