"""The stream of rows of a book on SQLite: one read transaction.

A server can go on writing meanwhile, and its write-ahead log grows until the scan ends.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stagebook.book.sqlite.book_connection import open_for_reading
from stagebook.book.sqlite.open_events import UNNOTED_EVENTS
from stagebook.book.tables.rows import Row
from stagebook.book.tables.table_connection import Parameters

_CACHE_SIZE_KIB: Final = 32_768
_MOST_FAULTS: Final = 100


class SqliteRowStream:
    """Implements `RowStream`. Reads raise apsw.Error and UnicodeDecodeError for a damaged file."""

    def __init__(self, path: Path) -> None:
        """Open the book at `path`. Raises BookRefusedError."""
        self._connection = open_for_reading(path, cache_size_kib=_CACHE_SIZE_KIB)
        self._connection.execute("BEGIN").fetchall()

    def rows(self, statement: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Yield the rows of a statement."""
        return self._connection.execute(statement, parameters)

    def unnoted_events(self) -> Iterator[Row]:
        """Yield the events that table `open_event` does not have yet."""
        return self._connection.execute(UNNOTED_EVENTS)

    def faults(self) -> Iterator[str]:
        """Yield what SQLite finds wrong with the file."""
        for (text,) in self._connection.execute(f"PRAGMA quick_check({_MOST_FAULTS})"):
            if text != "ok":
                yield str(text)

    def close(self) -> None:
        """Close the book. Idempotent."""
        self._connection.close()
