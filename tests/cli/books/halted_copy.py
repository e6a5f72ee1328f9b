"""Runs `stagebook book copy` and halts it in the middle: `python -m tests.cli.books.halted_copy STEP ARGUMENT ...`.

It prints a line and waits for a signal as soon as rows of table `event` were copied, or compared.
"""

import sys
import time

from stagebook.book.copying.book_copy import Step
from stagebook.book.copying.copied_tables import CopiedTable
from stagebook.cli.books.copy_output import CopyProgress
from stagebook.cli.command_line import main

_go_on = CopyProgress.__call__


def _halt(self: CopyProgress, step: Step, table: CopiedTable, rows: int) -> None:
    _go_on(self, step, table, rows)
    if (step, table.name) == (sys.argv[1], "event"):
        print("halted", flush=True)
        while True:
            time.sleep(0.01)  # `signal.pause` would miss a signal that comes just before it.


if __name__ == "__main__":
    CopyProgress.__call__ = _halt  # type: ignore[method-assign]
    sys.exit(main(["book", "copy", *sys.argv[2:]]))
