"""The text forms of an export: JSON Lines, and CSV for spreadsheets.

JSON Lines has one document a line, of an event of a participant or of a composition. CSV follows RFC 4180 with the
columns CSV_COLUMNS, one row for each event; members that are objects are JSON in their cell, and members that do not
apply are empty.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence

import msgspec

from stagebook.book.composition_log import LogEntry
from stagebook.history.composition_document import CompositionEventDocument, entry_document
from stagebook.history.event_document import EventDocument
from stagebook.history.export.export_columns import COLUMNS

CSV_COLUMNS: tuple[str, ...] = tuple(field.encode_name for field in COLUMNS)

_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
_encoder = msgspec.json.Encoder()


def json_lines(events: Sequence[LogEntry]) -> bytes:
    """Return the events as JSON Lines."""
    return _encoder.encode_lines([entry_document(event) for event in events])


def csv_lines(events: Sequence[LogEntry]) -> bytes:
    """Return the events as rows of CSV, without the heading."""
    return csv_rows(_csv_cells(entry_document(event)) for event in events)


def csv_rows(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as CSV in UTF-8. No cell is a formula for a spreadsheet; None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_safe_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", errors="replace")


def csv_heading(columns: Iterable[str] = CSV_COLUMNS) -> bytes:
    """Return the first line of a CSV file."""
    return csv_rows([columns])


TEXT_FORMATS: dict[str, tuple[Callable[[], bytes], Callable[[Sequence[LogEntry]], bytes]]] = {
    "jsonl": (lambda: b"", json_lines),
    "csv": (csv_heading, csv_lines),
}
"""For each format its beginning, and its form of a page of events."""

CONTENT_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


def _csv_cells(document: EventDocument | CompositionEventDocument) -> list[object]:
    return [_cell(getattr(document, column.name, None)) for column in COLUMNS]


def _cell(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _encoder.encode(value).decode()


def _safe_cell(cell: object) -> object:
    """Return a text that a spreadsheet would evaluate with an apostrophe before it, which makes it a text.

    See https://owasp.org/www-community/attacks/CSV_Injection. Numbers are left alone: they are not text of a stranger.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
