"""Counting the lines of Stagebook that are executed: the same on every machine, and a search in memory shows."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import stagebook

SOURCES = str(Path(stagebook.__file__).parent)


class LineCount:
    """How many lines this thread has executed."""

    lines = 0


@contextmanager
def counted_lines() -> Iterator[LineCount]:
    """Count the lines that this thread executes in this context, in calls that begin in it."""
    count = LineCount()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - the type is recursive
        count.lines += event == "line"
        return trace if frame.f_code.co_filename.startswith(SOURCES) else None

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(former)
