"""Copies a book from one store to another, and compares two books row by row.

A copy is verified before it is complete: every row of both stores is read in the order of its key and compared with its
counterpart, value by value. So a target becomes a book only if all rows are the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from stagebook.book.copying.copied_tables import COPIED_TABLES, SHARED_TABLES, CopiedTable
from stagebook.book.copying.copy_ports import ReadableRows, ReadableStore, SharedRows, SharedTarget, TargetStore
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


class _RowTarget(Protocol):
    def insert(self, table: CopiedTable, rows: Sequence[Row]) -> None: ...
    def end_table(self, table: CopiedTable) -> None: ...


Report: TypeAlias = Callable[[RowDifference], object]
"""Takes differences."""


def copy_rows(source: ReadableStore, target: TargetStore, advance: Advance) -> int:
    """Copy all tables and the key counters; return the number of rows. The target is not complete yet.

    Raises BookFailedError.
    """
    total = _copy_tables(COPIED_TABLES, source, target, advance)
    target.set_key_counters(source.key_counters())
    return total


def copy_shared(source: SharedRows, target: SharedTarget, advance: Advance) -> int:
    """Copy the tables of webhooks and bearer keys; return the number of rows. Raises BookFailedError."""
    total = _copy_tables(SHARED_TABLES, source, target, advance)
    target.set_shared_counters(source.shared_counters())
    return total


def compare_books(source: ReadableStore, target: ReadableStore, report: Report, advance: Advance) -> int:
    """Compare all rows and the key counters, and report each difference; return the number of rows of the source.

    Raises BookFailedError.
    """
    total = _compare_tables(COPIED_TABLES, source, target, report, advance)
    counters = msgspec.structs.asdict(source.key_counters()), msgspec.structs.asdict(target.key_counters())
    _compare_counters(*counters, report)
    return total


def compare_shared(source: SharedRows, target: SharedRows, report: Report, advance: Advance) -> int:
    """Compare the tables of webhooks and bearer keys as `compare_books`."""
    total = _compare_tables(SHARED_TABLES, source, target, report, advance)
    _compare_counters(source.shared_counters(), target.shared_counters(), report)
    return total


def _copy_tables(tables: Iterable[CopiedTable], source: ReadableRows, target: _RowTarget, advance: Advance) -> int:
    total = 0
    for table in tables:
        count = 0
        for chunk in source.chunks(table):
            target.insert(table, chunk)
            count += len(chunk)
            advance("copied", table, len(chunk))
        target.end_table(table)
        advance.end_table("copied", table, count)
        total += count
    return total


def _compare_tables(
    tables: Iterable[CopiedTable], source: ReadableRows, target: ReadableRows, report: Report, advance: Advance
) -> int:
    total = 0
    for table in tables:
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


def _compare_counters(source: Mapping[str, int], target: Mapping[str, int], report: Report) -> None:
    """Report the counters of the target that would give out again what the source has given out."""
    for name, value in source.items():
        if target[name] < value:
            report(RowDifference(table=COUNTERS, key=(name,), kind="different"))
