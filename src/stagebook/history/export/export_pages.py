"""The events of an export, page by page: everything that was durable when the export began, each event once.

Each page is one read of the log from the position of the page before. No read transaction stays open between two pages,
so the server can go on writing and its write-ahead log does not grow because of an export. The end is the last sequence
number at the start: sequence numbers only grow, so what is appended later is not included.

For the watch API, a history process reads parts: bounded numbers of pages, in the form that is sent.
"""

from collections.abc import Iterator

import msgspec

from stagebook.book.changes import SEQUENCE_TIME_SHIFT
from stagebook.book.composition_log import EntryLog, LogEntry
from stagebook.history.event_query import EventFilter
from stagebook.history.export.event_lines import TEXT_FORMATS
from stagebook.history.history_files import HistoryFiles

EVENTS_PER_PAGE = 1_000
"""How many events one read takes: a few milliseconds, and about 1 MB of memory."""

PAGES_PER_READ = 10
"""At most 10,000 events: about 0.1 s. A part of the response ends earlier, with the first page that has events."""


class ExportRange(msgspec.Struct, frozen=True, kw_only=True):
    """The positions of an export: it has the events after the sequence number `after`, up to `last`."""

    after: int
    last: int

    def fraction(self, sequence: int) -> float:
        """Return which part of the range lies before a sequence number, from 0 to 1, as a part of its time."""
        length = self.last - self.after
        return 1.0 if length <= 0 else min(1.0, max(0.0, (sequence - self.after) / length))


class ExportPage(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one page that match, and the position up to which the log has been read."""

    events: list[LogEntry]
    position: int


class ExportPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an export in the form that is sent, and what remains of its range; None at the end."""

    content: bytes
    remaining: ExportRange | None


def export_range(files: HistoryFiles, where: EventFilter) -> ExportRange:
    """Return the range of the log that can have events that match, at this moment."""
    last = files.log.last_sequence()
    first = 0 if where.since_ms is None else _before(where.since_ms)
    if where.until_ms is not None:
        last = min(last, _before(where.until_ms))
    if where.session_id is not None:
        session = files.sessions.find_session(where.session_id, account_id=where.account_id)
        if session is None:
            return ExportRange(after=0, last=0)
        first = max(first, _before(session.start_ms))
        newest_ms = files.book.last_event_ms(session.stage_arn, session.session_id)
        last = min(last, 0 if newest_ms is None else _before(newest_ms + 1))
    # A time in the far future has no sequence number that SQLite can store, so the newest one bounds both.
    last = max(0, last)
    return ExportRange(after=min(max(0, first), last), last=last)


def _before(time_ms: int) -> int:
    """Return the largest sequence number before a time."""
    return (time_ms << SEQUENCE_TIME_SHIFT) - 1


def read_export_page(
    log: EntryLog, where: EventFilter, within: ExportRange, *, limit: int = EVENTS_PER_PAGE
) -> ExportPage | None:
    """Return the next page of a range, None at its end. The page after it begins at its position."""
    if within.after >= within.last:
        return None
    events = log.read_entries_after(within.after, limit=limit)
    position = events[-1].sequence if len(events) == limit else within.last
    return ExportPage(
        events=[each for each in events if each.sequence <= within.last and where.matches(each)],
        position=min(position, within.last),
    )


def export_pages(log: EntryLog, where: EventFilter, within: ExportRange) -> Iterator[ExportPage]:
    """Yield all pages of a range."""
    position = within.after
    while (page := read_export_page(log, where, ExportRange(after=position, last=within.last))) is not None:
        yield page
        position = page.position


def read_export_part(files: HistoryFiles, where: EventFilter, within: ExportRange, form: str) -> ExportPart:
    """Return the next part of an export. It is empty if no event of the next PAGES_PER_READ pages matches."""
    _, lines = TEXT_FORMATS[form]
    for _ in range(PAGES_PER_READ):
        files.check()
        page = read_export_page(files.log, where, within)
        if page is None:
            return ExportPart(content=b"", remaining=None)
        within = ExportRange(after=page.position, last=within.last)
        if page.events:
            return ExportPart(content=lines(page.events), remaining=within)
    return ExportPart(content=b"", remaining=within)
