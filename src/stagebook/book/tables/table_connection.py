"""The port of a connection to the tables of a book, over which the reads of every store run.

The statements have SQLite's form (see `queries.py`): parameters are `:name` or `?`, `INDEXED BY` and CROSS JOIN choose
the plan. A connection to another database translates them.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

import msgspec

from stagebook.book.book_errors import BookFailedError
from stagebook.book.tables.rows import Row

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
