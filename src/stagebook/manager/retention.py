"""Retention: deletes what is older than the policy allows, again and again while the server runs.

A run goes through all stages and makes the book delete in small steps (`Book.delete_old`), with a pause after each. The
pauses bound the share of the disk and of the writer that deletion takes, and a step only runs while no transaction
waits. A run that is interrupted is continued by the next one.

The age is measured by the event clock, which does not follow a short jump of the machine's clock: a clock that is wrong
for some seconds deletes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
import structlog

from stagebook.book.book_errors import BookBusyError, BookDamagedError
from stagebook.book.retention_policy import RetentionPolicy
from stagebook.book.store import Book
from stagebook.stage.clock import Instant
from stagebook.stage.timestamps import iso8601

INTERVAL_SECONDS = 3_600.0
"""Time from the end of a run to the start of the next one. Ages are whole days."""
PAUSE_SECONDS = 0.01
"""Time between two steps. A step takes one or two milliseconds, so the writer is free for most of a run."""

_log: Any = structlog.get_logger(__name__)


class RetentionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What retention has done since the start of the server, for metrics.

    `deleted_rows` has the number of rows by table. `freed_bytes` were cut off the file. `last_run_ms` is the time of
    the last complete run, and `oldest_event_ms` that of the oldest event it kept, in milliseconds since the epoch.
    """

    deleted_rows: Mapping[str, int] = {}
    freed_bytes: int = 0
    last_run_ms: int | None = None
    oldest_event_ms: int | None = None


class Retention:
    """Deletes by age. `now` is the event clock."""

    def __init__(self, *, book: Book, policy: RetentionPolicy, now: Callable[[], Instant]) -> None:
        self._book = book
        self._policy = policy
        self._now = now
        self.status = RetentionStatus()
        self._running = asyncio.Lock()

    async def run(self, *, interval_seconds: float = INTERVAL_SECONDS, pause_seconds: float = PAUSE_SECONDS) -> None:
        """Start a run now and after each interval, until cancelled.

        Raises BookFailedError. A damaged or busy book ends the present run only.
        """
        while True:
            await self.try_run(pause_seconds=pause_seconds)
            await asyncio.sleep(interval_seconds)

    async def try_run(self, *, pause_seconds: float = 0.0) -> None:
        """Make one run, after any other run. A damaged or busy book ends it early. Raises BookFailedError."""
        async with self._running:
            try:
                await self.run_once(pause_seconds=pause_seconds)
            except (BookBusyError, BookDamagedError) as error:
                _log.warning("old rows could not be deleted", error=str(error))

    @property
    def is_configured(self) -> bool:
        """Whether anything is deleted by age."""
        return self._policy.deletes

    async def run_once(self, *, pause_seconds: float = 0.0) -> None:
        """Make one run. Raises BookFailedError and BookBusyError."""
        start = self._now()
        deleted: Counter[str] = Counter()
        freed_bytes = 0
        async with aclosing(self._book.delete_old(self._policy, now_ms=start.wall_ms)) as steps:
            async for step in steps:
                deleted.update(step.rows)
                freed_bytes += step.freed_bytes
                self._count(step.rows, step.freed_bytes)
                await asyncio.sleep(pause_seconds)
        end, oldest_ms = self._now(), self._book.first_event_ms()
        self.status = msgspec.structs.replace(self.status, last_run_ms=end.wall_ms, oldest_event_ms=oldest_ms)
        _log.info(
            "old rows were deleted",
            **{f"{table}_rows": count for table, count in sorted(deleted.items()) if count},
            freed_bytes=freed_bytes,
            seconds=round((end.monotonic_ms - start.monotonic_ms) / 1_000, 3),
            oldest_event=None if oldest_ms is None else iso8601(oldest_ms),
        )

    def _count(self, rows: Mapping[str, int], freed_bytes: int) -> None:
        total = Counter(self.status.deleted_rows)
        total.update(rows)
        self.status = msgspec.structs.replace(
            self.status, deleted_rows=dict(total), freed_bytes=self.status.freed_bytes + freed_bytes
        )
