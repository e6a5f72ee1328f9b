"""Copies a book from one store to another, and compares two books row by row.

A copy is verified before it is complete: every row of both stores is read in the order of its key and compared with its
counterpart, value by value. So a target becomes a book only if all rows are the same.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from stagebook.book.copying.copied_tables import COPIED_TABLES, CopiedTable
from stagebook.book.copying.copy_ports import KeyCounters, ReadableStore, TargetStore
from stagebook.book.tables.rows import Row

Step: TypeAlias = Literal["copied", "compared"]
DifferenceKind: TypeAlias = Literal["missing", "added", "different"]

COUNTERS: Final = "key counters"
"""What stands for a table in a difference of the key counters."""


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is missing in the target, is only there, or has other values in these columns."""

    table: str
    key: tuple[int | str, ...]
    kind: DifferenceKind
    columns: tuple[str, ...] = ()


class Advance(Protocol):
    """Takes the progress."""

    def __call__(self, step: Step, table: CopiedTable, rows: int) -> None:
        """So many more rows of a table have been copied, or compared."""

    def end_table(self, step: Step, table: CopiedTable, rows: int) -> None:
        """A table was copied or compared, with so many rows in all."""


Report: TypeAlias = Callable[[RowDifference], object]
"""Takes differences."""


def copy_rows(source: ReadableStore, target: TargetStore, advance: Advance) -> int:
    """Copy all tables and the key counters; return the number of rows. The target is not complete yet.

    Raises BookFailedError.
    """
    total = 0
    for table in COPIED_TABLES:
        count = 0
        for chunk in source.chunks(table):
            target.insert(table, chunk)
            count += len(chunk)
            advance("copied", table, len(chunk))
        target.end_table(table)
        advance.end_table("copied", table, count)
        total += count
    target.set_key_counters(source.key_counters())
    return total


def compare_books(source: ReadableStore, target: ReadableStore, report: Report, advance: Advance) -> int:
    """Compare all rows and the key counters, and report each difference; return the number of rows of the source.

    Raises BookFailedError.
    """
    total = 0
    for table in COPIED_TABLES:
        count = 0

        def counted(table: CopiedTable = table) -> Iterator[Row]:
            nonlocal count
            for chunk in source.chunks(table):
                count += len(chunk)
                advance("compared", table, len(chunk))
                yield from chunk

        for difference in differences(table, counted(), chain.from_iterable(target.chunks(table))):
            report(difference)
        advance.end_table("compared", table, count)
        total += count
    for name in _counters_behind(source.key_counters(), target.key_counters()):
        report(RowDifference(table=COUNTERS, key=(name,), kind="different"))
    return total


def differences(table: CopiedTable, source: Iterator[Row], target: Iterator[Row]) -> Iterator[RowDifference]:
    """Yield what differs between two streams of rows in the order of their keys."""
    width = len(table.key)
    left, right = next(source, None), next(target, None)
    while left is not None or right is not None:
        # One comparison of whole rows is much cheaper than two of their keys.
        if left == right:
            left, right = next(source, None), next(target, None)
        elif right is None or (left is not None and left[:width] < right[:width]):
            assert left is not None  # noqa: S101 - for the type checker
            yield RowDifference(table=table.name, key=left[:width], kind="missing")
            left = next(source, None)
        elif left is None or right[:width] < left[:width]:
            yield RowDifference(table=table.name, key=right[:width], kind="added")
            right = next(target, None)
        else:
            names = zip(table.columns, left, right, strict=True)
            columns = tuple(name for name, ours, theirs in names if ours != theirs)
            yield RowDifference(table=table.name, key=left[:width], kind="different", columns=columns)
            left, right = next(source, None), next(target, None)


def _counters_behind(source: KeyCounters, target: KeyCounters) -> Iterator[str]:
    """Yield which counters of the target would give out again what the source has given out."""
    for name in KeyCounters.__struct_fields__:
        if getattr(target, name) < getattr(source, name):
            yield name
