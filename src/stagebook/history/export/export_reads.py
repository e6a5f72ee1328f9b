"""Reads of an export for the watch API. They run in a history process; each does a bounded amount of work."""

import msgspec

from stagebook.history.event_query import EventFilter
from stagebook.history.export.event_lines import TEXT_FORMATS
from stagebook.history.export.export_pages import ExportRange, read_export_page
from stagebook.history.history_files import HistoryFiles

PAGES_PER_READ = 10
"""At most 10,000 events: about 0.1 s. A part of the response ends earlier, with the first page that has events."""


class ExportPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an export in the form that is sent, and what remains of its range; None at the end."""

    content: bytes
    remaining: ExportRange | None


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
