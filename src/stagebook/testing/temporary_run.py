"""Servers that belong to another program, such as a test run: they end with it and leave nothing behind.

That program holds the other end of the server's standard input. When it ends, whatever the reason, the system closes
that end, and the server stops. A signal for the death of a parent (prctl(2), PR_SET_PDEATHSIG) would not do: it is sent
when the thread ends that has started the process, and Linux alone has it.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

STOP_SECONDS = 10.0
"""How long the server may take to stop before it is ended at once."""
EXIT_FORCED = 130
_READ_SIZE_BYTES = 4_096


class FolderInUseError(Exception):
    """The folder holds the data of another server, which must not be deleted."""


@contextmanager
def temporary_folder(folder: Path) -> Iterator[None]:
    """Delete a data folder at the end. Raises FolderInUseError if a server has used it before."""
    folder = folder.absolute()
    if any(folder.glob("*.sqlite3")):
        raise FolderInUseError(f"{folder} holds the data of a server: a temporary folder must be a new one")
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end_with_stdin(folder: Path | None = None) -> None:
    """Stop this process, as with SIGTERM, when its standard input ends.

    If it has not ended STOP_SECONDS later, it ends at once, and a temporary `folder` is deleted. Call it on the main
    thread before anything else: until the server has its own handler, SIGTERM raises SystemExit.
    """
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_watch_stdin, args=(folder,), name="standard input", daemon=True).start()


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _watch_stdin(folder: Path | None) -> None:
    while os.read(sys.stdin.fileno(), _READ_SIZE_BYTES):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    # The process ends meanwhile, and this thread with it.
    threading.Event().wait(STOP_SECONDS)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(EXIT_FORCED)
