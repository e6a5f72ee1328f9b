"""Text that is not trusted in a terminal, and the console that shows tables.

User ids, attributes and details come from clients. A control character in them could move the cursor, change the title
of the window or hide a part of the text, so each character that is not printable is shown as an escape.
"""

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

PIPE_WIDTH = 240
"""The width of tables in a file or a pipe, where no terminal limits it, unless COLUMNS says another one."""


def printable(text: str) -> str:
    """Return a text in which characters that are not printable are escapes, such as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Print rows of the same length, each on one line however long it is, so that programs can read it by line."""
    table = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 event`, `2,000 events`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def plain(text: str, *, style: str = "") -> Text:
    """Return a text for a table, without the markup of rich."""
    return Text(printable(text), style=style)


class TextConsole(Console):
    """A console that reports a closed pipe as any other writer does; rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled."""
        raise


def open_console(*, stderr: bool = False) -> TextConsole:
    """Return a console. It uses colours only in a terminal, and none if NO_COLOR is set (https://no-color.org)."""
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        # A terminal with another encoding shows a question mark; an exception would end the command.
        stream.reconfigure(errors="replace")
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return TextConsole(file=stream, highlight=False, markup=False, emoji=False, width=width)
