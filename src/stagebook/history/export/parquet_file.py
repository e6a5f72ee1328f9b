"""Parquet files of events, with the optional library pyarrow.

The columns are COLUMNS. Texts that repeat are dictionary-encoded, `eventTime` is a timestamp in
UTC with milliseconds, `sequence` a 64-bit integer; tokens and recordings are JSON. Rows are written in groups of
ROWS_PER_GROUP: a reader can skip groups by their statistics, and the writer keeps one group in memory.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, Self

import msgspec
import pyarrow
import pyarrow.parquet

from stagebook.book.composition_log import LogEntry
from stagebook.history.composition_document import entry_document
from stagebook.history.export.export_columns import COLUMNS, REQUIRED

ROWS_PER_GROUP = 20_000

_REPEATED = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
_TEXT = pyarrow.string()
_TYPES: dict[str, Any] = {
    "id": _TEXT,
    "sequence": pyarrow.int64(),
    "event_time": pyarrow.timestamp("ms", tz="UTC"),
    "replica": pyarrow.bool_(),
    "previous_token": _TEXT,
    "new_token": _TEXT,
    "recording": _TEXT,
    "detail": _TEXT,
}
"""The types of the columns that are not texts which repeat."""

SCHEMA: Any = pyarrow.schema(
    [
        pyarrow.field(field.encode_name, _TYPES.get(field.name, _REPEATED), nullable=field.name not in REQUIRED)
        for field in COLUMNS
    ]
)


class ParquetFile:
    """Writes events to a binary file. Closing it writes the last group and the footer; the file stays open."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._writer = pyarrow.parquet.ParquetWriter(pyarrow.PythonFile(sink, mode="w"), SCHEMA, compression="zstd")
        self._columns: list[list[object]] = [[] for _ in SCHEMA]

    def write(self, events: Sequence[LogEntry]) -> None:
        """Append events."""
        for event in events:
            document = entry_document(event)
            for column, field in zip(self._columns, COLUMNS, strict=True):
                column.append(_value(event, field.name, getattr(document, field.name, None)))
            if len(self._columns[0]) == ROWS_PER_GROUP:
                self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._columns[0]:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        arrays = [pyarrow.array(column, field.type) for column, field in zip(self._columns, SCHEMA, strict=True)]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=SCHEMA), row_group_size=ROWS_PER_GROUP)
        self._columns = [[] for _ in SCHEMA]


def _value(event: LogEntry, name: str, value: object) -> object:
    match name:
        case "sequence":
            return event.sequence
        case "event_time":
            return event.time_ms
        case "previous_token" | "new_token" | "recording":
            return None if value is None else msgspec.json.encode(value).decode()
        case _:
            return value
