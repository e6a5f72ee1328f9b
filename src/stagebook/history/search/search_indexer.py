"""The task of the server that keeps the search index up to date.

A search adds what is missing by itself, so this task only has to keep that little: it waits a moment after an event
before it starts, and adds the events of that time together. It also fills the index of a book that has none, and
deletes entries after the retention has deleted their events.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog

from stagebook.history.history_files import HistoryFiles
from stagebook.history.history_reader import HistoryReader
from stagebook.log_rate_limit import LogRateLimit
from stagebook.stage.errors import ServerBusyError

DELAY_SECONDS = 3.0
TRIM_INTERVAL_SECONDS = 600.0
BATCHES_PER_READ = 4

_log = structlog.get_logger(__name__)


def continue_index(files: HistoryFiles) -> bool:
    """Add events to the index; return whether there are more."""
    return not files.index.catch_up(maximum_batches=BATCHES_PER_READ).is_complete


def trim_index(files: HistoryFiles) -> bool:
    """Delete entries from the index; return whether there are more to look at."""
    return files.index.trim()


class SearchIndexer:
    """Runs the task between `start` and `stop`. `note_durable` tells it of new events."""

    def __init__(
        self,
        history: HistoryReader,
        *,
        delay_seconds: float = DELAY_SECONDS,
        trim_interval_seconds: float = TRIM_INTERVAL_SECONDS,
    ) -> None:
        self._history = history
        self._delay_seconds = delay_seconds
        self._trim_interval_seconds = trim_interval_seconds
        self._has_events = asyncio.Event()
        self._has_events.set()
        self._task: asyncio.Task[None] | None = None
        self._log_limit = LogRateLimit(clock=time.monotonic)

    def note_durable(self) -> None:
        """Note that the book has new events."""
        self._has_events.set()

    def start(self) -> None:
        """Start the task."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the task. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        trim_at = clock() + self._trim_interval_seconds
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(trim_at):
                    await self._has_events.wait()
            if self._has_events.is_set():
                await asyncio.sleep(self._delay_seconds)
                self._has_events.clear()
                await self._repeat(continue_index)
            if clock() >= trim_at:
                await self._repeat(trim_index)
                trim_at = clock() + self._trim_interval_seconds

    async def _repeat(self, read: Callable[[HistoryFiles], bool]) -> None:
        """Run a read until it has nothing more to do. A failure ends that; the next events start it again."""
        try:
            while await self._history.run(read):
                pass
        except ServerBusyError:
            self._has_events.set()
        except Exception as error:  # noqa: BLE001 - the task must go on
            if (more := self._log_limit.admit(type(error).__name__)) is not None:
                _log.error("the search index cannot be continued", exc_info=error, **more)
