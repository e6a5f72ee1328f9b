"""The bearer keys of a node: a copy of the table in the database, which is read beside the event loop.

A key that was made or revoked is noticed within READ_SECONDS. A node that has not read the table for PATIENCE_SECONDS
accepts no key, because one of them may have been revoked meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from stagebook.api.watch.access.bearer_key import BearerKey
from stagebook.book.book_errors import BookFailedError
from stagebook.data_folder.bearer_key_table import BearerKeyTable

READ_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 10.0
_log = structlog.get_logger(__name__)


class SharedBearerKeys:
    """Reads `table` between `start` and `stop`. Its `stamp` and `read` are those that `BearerKeys` asks for."""

    def __init__(self, table: BearerKeyTable, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read the table once. Raises BookFailedError."""
        self._table = table
        self._monotonic = monotonic
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stagebook-bearer-keys")
        self._task: asyncio.Task[None] | None = None
        self._stamp: Hashable = None
        self._keys: tuple[BearerKey, ...] = ()
        self._read_at = self._monotonic()
        self._refresh()

    def start(self) -> None:
        """Read the table again and again."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop reading, and close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._table.close)
        self._thread.shutdown(wait=False)

    def stamp(self) -> Hashable:
        """Return a value that differs when the keys have changed. Raises BookFailedError if they are out of date."""
        if self._monotonic() - self._read_at > PATIENCE_SECONDS:
            raise BookFailedError("the database has not answered for too long")
        return self._stamp

    def read(self) -> tuple[BearerKey, ...]:
        """Return all keys as they were when the table was last read."""
        return self._keys

    def _refresh(self) -> None:
        began_at = self._monotonic()
        # The version first: a change after it is noticed by the next read.
        stamp = self._table.stamp()
        if stamp != self._stamp:
            self._keys = self._table.read()
            self._stamp = stamp
        self._read_at = began_at

    async def _run(self) -> None:
        is_failing = False
        while True:
            await asyncio.sleep(READ_SECONDS)
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._refresh)
                is_failing = False
            except BookFailedError as error:
                if not is_failing:
                    _log.warning("the bearer keys cannot be read", reason=str(error))
                is_failing = True
