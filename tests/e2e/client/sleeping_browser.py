"""A Chromium of its own whose processes a test stops for a while, as a machine does that sleeps."""

import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser

from tests.e2e.browser.chromium import running_chromium


class SleepingBrowser:
    """A browser, and the number that its command line has."""

    def __init__(self, browser: Browser, mark: str) -> None:
        self.browser = browser
        self._mark = mark
        self._stopped: list[int] = []

    def sleep(self) -> None:
        """Stop all processes. Nothing of the browser runs: no script, no timer, no answer to a packet."""
        self._stopped = _family(self._mark)
        assert self._stopped
        for process_id in self._stopped:
            os.kill(process_id, signal.SIGSTOP)

    def wake_up(self) -> None:
        """Continue all processes."""
        for process_id in self._stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGCONT)
        self._stopped = []


def _family(mark: str) -> list[int]:
    """The processes with a mark in their command line, the browser alone, and all their descendants."""
    parents, family = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            process_id = int(folder.name)
            # The name of a process is in parentheses and may contain spaces.
            parents[process_id] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if mark in (folder / "cmdline").read_text():
                family.add(process_id)
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(family)


@contextlib.asynccontextmanager
async def running_sleeper(path: str) -> AsyncIterator[SleepingBrowser]:
    """Run a browser that a test can stop."""
    mark = f"--mark-of-the-test={secrets.token_hex(8)}"
    async with running_chromium(path, mark) as browser:
        sleeper = SleepingBrowser(browser, mark)
        try:
            yield sleeper
        finally:
            sleeper.wake_up()
