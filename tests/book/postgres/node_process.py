"""A fencing node as a process, and what it has printed."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

DEADLINE_SECONDS: Final = 60.0


class NodeProcess:
    """`tests.book.postgres.fencing_node`; entering starts it, leaving kills it."""

    def __init__(self, url: str, accounts: int) -> None:
        self._arguments = (url, str(accounts))
        self._lines: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.book.postgres.fencing_node", *self._arguments),
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running:
            self._process.kill()
        self.wait_for_end()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def lines(self, what: str) -> list[dict[str, Any]]:
        """Return what it has printed of a kind."""
        return [line for line in list(self._lines) if line["what"] == what]

    def count(self, what: str) -> int:
        """Return how many lines of a kind it has printed."""
        return len(self.lines(what))

    def wait_for(self, what: str, count: int) -> list[dict[str, Any]]:
        """Wait for lines of a kind, and return them."""
        wait_until(lambda: self.count(what) >= count or not self.is_running, f"{what}: {self._lines[-3:]}")
        assert self.count(what) >= count, self._lines[-3:]
        return self.lines(what)

    def wait_for_end(self) -> None:
        """Wait until the process has ended and all that it printed is read."""
        self._process.wait(DEADLINE_SECONDS)
        self._reader.join(DEADLINE_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            # The last line of a killed process may be a part of one.
            self._lines.extend(json.loads(line) for line in stream if line.endswith("}\n"))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; fail after DEADLINE_SECONDS."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
