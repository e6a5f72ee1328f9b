"""The port of a connection to the tables of a book, over which the reads of every store run.

The statements have SQLite's form (see `queries.py`): parameters are `:name` or `?`, `INDEXED BY` and CROSS JOIN choose
the plan. A connection to another database translates them.

`RowReader` makes values and pages of the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from stagebook.book.book_errors import BookFailedError
from stagebook.book.book_values import Page
from stagebook.book.tables.rows import Row

_Item = TypeVar("_Item")

END_POSITION = (1 << 63) - 1
"""The largest 64-bit integer, larger than every position."""

UNDECODABLE = (LookupError, TypeError, ValueError, msgspec.MsgspecError)
"""What the conversion of rows (`rows.py`) raises for values that no writer stores."""

Cell: TypeAlias = str | int | None
Parameters: TypeAlias = Mapping[str, Cell] | Sequence[Cell]


class TableConnection(Protocol):
    """A connection to the tables of a book. Only one thread may use it at a time."""

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """Return all rows of a statement that reads.

        Raises BookDamagedError if the store notices that the data is damaged, and BookFailedError if it cannot be read.
        """

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all reads within the context see one state of the book."""

    def damaged(self, error: Exception) -> BookFailedError:
        """Return the error of rows that were read and could not be decoded, which raised `error`."""

    def close(self) -> None:
        """Close the connection. Idempotent."""


class RowReader:
    """Reads the values of rows over a connection. The last column of a row is its position and no part of the value."""

    def __init__(self, connection: TableConnection) -> None:
        self._connection = connection

    def _rows(self, statement: str, **parameters: Cell) -> list[Row]:
        return self._connection.rows(statement, parameters)

    def _first(self, rows: list[Row], make: Callable[[Row], _Item]) -> _Item | None:
        """Return the value of the only row, None without a row."""
        found = self._all(rows, make)
        return found[0] if found else None

    def _page(self, rows: list[Row], limit: int, make: Callable[[Row], _Item]) -> Page[_Item]:
        """Return a page of rows. More than `limit` rows mean there is a next page."""
        shown = rows[:limit]
        return Page(
            items=self._all(shown, make),
            next_position=shown[-1][-1] if shown and len(rows) > limit else None,
        )

    def _all(self, rows: list[Row], make: Callable[[Row], _Item]) -> list[_Item]:
        """Return the values of rows. The last column of a row is its position and no part of the value."""
        try:
            return [make(row[:-1]) for row in rows]
        except UNDECODABLE as error:
            raise self._connection.damaged(error) from error


def position_before(after: int | None) -> int:
    """Return the position that a page in descending order starts below; `after` is None for the first page."""
    return END_POSITION if after is None else after
