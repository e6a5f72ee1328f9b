"""What `stagebook book copy` and `compare` do, and what they print.

A terminal shows the progress; elsewhere there is a line for each table on standard error. Differences and the result go
to standard output, as text or as one JSON document. The exit code is 1 if two books differ.
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice

import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.book.copying.book_copy import (
    COUNTERS,
    RowDifference,
    Step,
    compare_books,
    compare_shared,
    copy_rows,
    copy_shared,
)
from stagebook.book.copying.copied_secrets import require_opened_stream_keys, secrets_to_add
from stagebook.book.copying.copied_tables import COPIED_TABLES, SHARED_TABLES, CopiedTable
from stagebook.book.copying.copy_ports import ReadableStore
from stagebook.cli.books.copy_places import SourceParts, parse_place
from stagebook.cli.exit_codes import EXIT_FAILED, EXIT_OK, CommandFailedError
from stagebook.cli.terminal.terminal_text import counted, open_console, printable

MAXIMUM_PRINTED = 100
"""How many differences are printed; all are counted."""


class CopySummary(msgspec.Struct, kw_only=True, rename="camel"):
    """What a copy or a comparison has found. `tables` has the rows of each table of the source."""

    source: str
    target: str
    while_running: bool
    tables: dict[str, int] = {}
    rows: int = 0
    difference_count: int = 0
    differences: list[RowDifference] = []

    def add(self, difference: RowDifference) -> None:
        """Count a difference, and keep it if it is one of the first."""
        self.difference_count += 1
        if len(self.differences) < MAXIMUM_PRINTED:
            self.differences.append(difference)


class CopyProgress:
    """Implements `Advance`."""

    def __init__(self, progress: Progress, summary: CopySummary, *, total: int) -> None:
        self._progress = progress
        self._summary = summary
        self._is_shown = not progress.disable
        self._task = progress.add_task("", total=total, step="", count="0")
        self._rows = 0

    def __call__(self, step: Step, table: CopiedTable, rows: int) -> None:
        """Show the progress."""
        self._rows += rows
        self._progress.update(self._task, completed=self._rows, step=f"{step} {table.name}", count=f"{self._rows:,}")

    def end_table(self, step: Step, table: CopiedTable, rows: int) -> None:
        """Print a line, unless a terminal shows the progress."""
        self._summary.tables[table.name] = rows
        if not self._is_shown:
            self._progress.console.print(f"{step} {counted(rows, 'row')} of {table.name}")


def copy_book(arguments: argparse.Namespace) -> int:
    """Copy a book; return the exit code. Raises CommandFailedError."""
    if arguments.source == arguments.target:
        raise CommandFailedError(f"--from and --to are the same place: {arguments.source}")
    source_place, target_place = (parse_place(text, arguments) for text in (arguments.source, arguments.target))
    with _failures(), ExitStack() as parts:
        source = source_place.open_source(parts, while_running=arguments.while_running)
        secrets = source.secrets.read_secrets()
        require_opened_stream_keys(source.store, secrets)
        target = target_place.open_target(parts, is_for_tests=source_place.is_for_tests)
        missing = secrets_to_add(secrets, target.secrets.read_secrets(), place=target.store.place)
        summary = _summary(arguments, source.store, target.store)
        with _progress(summary, total=2 * _count(source)) as advance:
            copy_rows(source.store, target.store, advance)
            copy_shared(source.shared, target.shared, advance)
            summary.rows = compare_books(source.store, target.store, summary.add, advance)
            summary.rows += compare_shared(source.shared, target.shared, summary.add, advance)
        if summary.difference_count == 0:
            target.secrets.write_secrets(missing)
            target.complete()
    return _end(arguments, summary, "copied")


def compare_two_books(arguments: argparse.Namespace) -> int:
    """Compare two books; return the exit code."""
    places = [parse_place(text, arguments) for text in (arguments.source, arguments.target)]
    with _failures(), ExitStack() as parts:
        source, target = (place.open_source(parts, while_running=arguments.while_running) for place in places)
        summary = _summary(arguments, source.store, target.store)
        with _progress(summary, total=_count(source)) as advance:
            summary.rows = compare_books(source.store, target.store, summary.add, advance)
            summary.rows += compare_shared(source.shared, target.shared, summary.add, advance)
    return _end(arguments, summary, "compared")


def _summary(arguments: argparse.Namespace, source: ReadableStore, target: ReadableStore) -> CopySummary:
    return CopySummary(
        source=source.place,
        target=target.place,
        while_running=arguments.while_running,
        tables={},
        differences=[],
    )


def _count(source: SourceParts) -> int:
    of_book = sum(source.store.count(table) for table in COPIED_TABLES)
    return of_book + sum(source.shared.count(table) for table in SHARED_TABLES)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (BookRefusedError, BookFailedError) as error:
        raise CommandFailedError(str(error)) from error


@contextmanager
def _progress(summary: CopySummary, *, total: int) -> Iterator[CopyProgress]:
    console = open_console(stderr=True)
    columns = (
        TextColumn("{task.fields[step]}"),
        BarColumn(),
        TextColumn("{task.fields[count]} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield CopyProgress(progress, summary, total=total)


def _end(arguments: argparse.Namespace, summary: CopySummary, done: str) -> int:
    """Print the result; return the exit code."""
    if arguments.format == "json":
        print(msgspec.json.format(msgspec.json.encode(summary)).decode())
    else:
        for line in _lines(summary, done):
            print(printable(line))
    return EXIT_FAILED if summary.difference_count else EXIT_OK


def _lines(summary: CopySummary, done: str) -> Iterator[str]:
    for difference in islice(summary.differences, MAXIMUM_PRINTED):
        yield _described(difference)
    if summary.difference_count > len(summary.differences):
        yield f"and {summary.difference_count - len(summary.differences):,} more"
    rows = counted(summary.rows, "row")
    if summary.difference_count:
        what = "nothing was copied" if done == "copied" else "the books differ"
        yield f"{what}: {counted(summary.difference_count, 'difference')} in {rows} of {summary.source}"
        return
    moment = ", as it was at one moment" if summary.while_running else ""
    yield f"{done} {rows} of {summary.source}{moment}: {summary.target} has the same"


def _described(difference: RowDifference) -> str:
    if difference.table == COUNTERS:
        return f"{COUNTERS}: {difference.key[0]} is smaller in the target"
    columns = next(table.key for table in (*COPIED_TABLES, *SHARED_TABLES) if table.name == difference.table)
    key = " ".join(f"{name}={value}" for name, value in zip(columns, difference.key, strict=True))
    kind = {"missing": "is missing in the target", "added": "is only in the target", "different": "differs"}
    members = f" in {', '.join(difference.columns)}" if difference.columns else ""
    return f"{difference.table} {key} {kind[difference.kind]}{members}"
