"""`python -m tests.e2e.faked_clock serve ...`: the server with a wall clock that a test sets.

The file named by the environment variable FAKED_CLOCK_FILE holds how far the clock is ahead, in milliseconds. Only the
port for the machine's wall clock is replaced; the monotonic clock is the real one, as on a machine whose clock is set.
"""

import os
import sys
import time
from pathlib import Path

from stagebook.cli.command_line import main
from stagebook.server.system_clock import SystemClock

FILE_VARIABLE = "FAKED_CLOCK_FILE"


def now_ms(self: SystemClock) -> int:  # noqa: ARG001 - it replaces a method
    """Return the machine's wall clock, moved by the number in the file."""
    return time.time_ns() // 1_000_000 + int(Path(os.environ[FILE_VARIABLE]).read_text(encoding="ascii"))


def set_ahead_ms(path: Path, ahead_ms: int) -> None:
    """Set how far the clock of the server is ahead. It never reads a half written number."""
    written = path.with_suffix(".new")
    written.write_text(str(ahead_ms), encoding="ascii")
    written.replace(path)


if __name__ == "__main__":
    setattr(SystemClock, "now_ms", now_ms)  # noqa: B010 - mypy refuses to assign to a method
    sys.exit(main())
