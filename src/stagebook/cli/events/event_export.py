"""What `stagebook events export` does: it writes events as JSON Lines, CSV or Parquet to a file."""

import argparse
import gzip
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NoReturn

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stagebook.book.composition_log import LogEntry
from stagebook.cli.events.event_flags import event_filter, open_history
from stagebook.cli.exit_codes import EXIT_OK, EXIT_TERMINATED, CommandFailedError
from stagebook.cli.output_file import STANDARD_OUTPUT, open_output
from stagebook.cli.terminal.terminal_text import counted, open_console
from stagebook.history.event_query import EventFilter
from stagebook.history.export.event_lines import TEXT_FORMATS
from stagebook.history.export.export_pages import export_pages, export_range
from stagebook.history.history_files import HistoryFiles
from stagebook.server.system_clock import SystemClock

PARQUET = "parquet"
Write = Callable[[Sequence[LogEntry]], None]


def export_events(arguments: argparse.Namespace) -> int:
    """Export events; return the exit code. Raises CommandFailedError."""
    if arguments.format == PARQUET:
        if arguments.gzip:
            raise CommandFailedError("a Parquet file is compressed already: leave --gzip out")
        _require_parquet()
    if arguments.output == STANDARD_OUTPUT and sys.stdout.isatty() and (arguments.format == PARQUET or arguments.gzip):
        raise CommandFailedError("this is no text for a terminal: name a file with --output")
    where = event_filter(arguments, now_ms=SystemClock().now_ms())
    with (
        open_history(arguments) as files,
        _ended_by_sigterm(),
        open_output(arguments.output) as sink,
        _writer(sink, arguments.format, compress=arguments.gzip) as write,
    ):
        count = _copy(files, where, write)
    open_console(stderr=True).print(f"exported {counted(count, 'event')}")
    return EXIT_OK


def _copy(files: HistoryFiles, where: EventFilter, write: Write) -> int:
    """Write all events of the export; return how many. A terminal shows the progress."""
    within, count = export_range(files, where), 0
    console = open_console(stderr=True)
    columns = (TextColumn("{task.fields[count]} events"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("export", total=1.0, count="0")
        for page in export_pages(files.log, where, within):
            write(page.events)
            count += len(page.events)
            progress.update(task, completed=within.fraction(page.position), count=f"{count:,}")
    return count


@contextmanager
def _writer(sink: IO[bytes], form: str, *, compress: bool) -> Iterator[Write]:
    """Yield what writes pages of events to a file in this form."""
    if form == PARQUET:
        from stagebook.history.export.parquet_file import ParquetFile  # an optional extra; see _require_parquet

        with ParquetFile(sink) as parquet:
            yield parquet.write
        return
    begin, lines = TEXT_FORMATS[form]
    # Without a file name and a time, the same events make the same file.
    file: Any = gzip.GzipFile(filename="", mode="wb", fileobj=sink, mtime=0) if compress else sink
    file.write(begin())
    yield lambda events: file.write(lines(events))
    if compress:
        file.close()


def _require_parquet() -> None:
    try:
        import pyarrow.parquet  # noqa: F401 - an optional extra
    except ModuleNotFoundError:
        raise CommandFailedError("Parquet needs pyarrow: run `pip install 'stagebook[parquet]'`") from None


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the context as an exception, so that an unfinished file is removed."""

    def end(_number: int, _frame: object) -> NoReturn:
        raise SystemExit(EXIT_TERMINATED)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
