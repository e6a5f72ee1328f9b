"""What `stagebook check` does: it checks a book, and the search index beside it, and prints what is wrong.

A broken rule is printed when it is found, so the output needs no memory. The JSON output is one document: the broken
rules, then what was read. The exit code is 1 if a rule is broken.
"""

import argparse
import sys
from pathlib import Path
from typing import Protocol

import msgspec
from rich.progress import Progress, TextColumn

from stagebook.audit.book_check import CheckedBook, check_book
from stagebook.audit.book_rules import RULES, Violation, describe
from stagebook.audit.index_check import check_index
from stagebook.book.book_errors import BookFailedError, BookRefusedError
from stagebook.cli.events.event_flags import book_source
from stagebook.cli.exit_codes import EXIT_FAILED, EXIT_OK, CommandFailedError
from stagebook.cli.setting_flags import read_settings
from stagebook.cli.terminal.terminal_text import counted, open_console, printable
from stagebook.data_folder.secrets import DataFolder


class CheckOutput(Protocol):
    """Prints broken rules."""

    def add(self, violation: Violation) -> None:
        """Print a broken rule."""

    def end(self, counts: CheckedBook) -> None:
        """Print what was read."""


class TextOutput:
    """One line for each broken rule, the text of each rule after its first line, and a line with numbers."""

    def __init__(self) -> None:
        self._explained: set[str] = set()

    def add(self, violation: Violation) -> None:
        """Print a broken rule."""
        print(printable(describe(violation)))
        if violation.rule not in self._explained:
            self._explained.add(violation.rule)
            rule = next(rule for rule in RULES if rule.name == violation.rule)
            print(f"    {rule.name}: {rule.text} ({rule.source})")

    def end(self, counts: CheckedBook) -> None:
        """Print what was read."""
        broken = "no rule is broken" if counts.violations == 0 else f"broken rules: {counts.violations:,}"
        events, participants = counted(counts.events, "event"), counted(counts.participants, "participant")
        compositions = f" and {counted(counts.compositions, 'composition')}" if counts.compositions else ""
        print(f"{events} of {participants} in {counted(counts.sessions, 'session')}{compositions}: {broken}")


class JsonOutput:
    """One JSON document."""

    def __init__(self) -> None:
        self._separator = '{"brokenRules": ['

    def add(self, violation: Violation) -> None:
        """Print a broken rule."""
        print(f"{self._separator}\n  {msgspec.json.encode(violation).decode()}", end="")
        self._separator = ","

    def end(self, counts: CheckedBook) -> None:
        """Print what was read."""
        start = self._separator if self._separator != "," else "\n"
        numbers = msgspec.json.encode(
            {
                "sessions": counts.sessions,
                "participants": counts.participants,
                "events": counts.events,
                "compositions": counts.compositions,
            }
        ).decode()
        print(f"{start}], {numbers[1:]}")


def check_settings_book(arguments: argparse.Namespace) -> int:
    """Check the book that the settings name; return the exit code. Raises CommandFailedError."""
    settings = read_settings(arguments)
    source = book_source(settings)
    output: CheckOutput = JsonOutput() if arguments.format == "json" else TextOutput()
    console = open_console(stderr=True)
    columns = TextColumn("{task.fields[count]} events")
    # Broken rules go to a terminal too, where a progress display would mix with them.
    is_hidden = not console.is_terminal or sys.stdout.isatty()
    try:
        with Progress(columns, console=console, transient=True, disable=is_hidden) as progress:
            task = progress.add_task("check", count="0")
            counts = check_book(
                source,
                output.add,
                advance=lambda counts: progress.update(task, count=f"{counts.events:,}"),
            )
            if isinstance(source, Path):
                index_path = DataFolder(Path(settings.data)).search_index_path
                counts.violations += check_index(index_path, source, output.add)
    except (BookRefusedError, BookFailedError) as error:
        raise CommandFailedError(str(error)) from error
    output.end(counts)
    return EXIT_FAILED if counts.violations else EXIT_OK
