"""Reads of the book on a small number of threads, for a store whose reads wait for another process.

    caller -> AccountQueue -> a free ReaderThread, with its own connection -> caller

The queue and the threads' work are bounded. An account may use half of the threads at most, so that those that ask for
slow pages leave threads to the others. Everything but the reads themselves runs on the event loop's thread.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar, cast

import structlog

from stagebook.book.book_errors import BookFailedError
from stagebook.book.tables.pooled.account_queue import AccountQueue
from stagebook.book.tables.pooled.reader_thread import PooledRead, ReaderThread
from stagebook.book.tables.table_reader import TableReader
from stagebook.log_rate_limit import LogRateLimit
from stagebook.stage.errors import ServerBusyError

THREADS: Final = 4
MAXIMUM_WAITING: Final = 1_000
"""How many reads may wait for a thread."""
WAITING_PER_ACCOUNT: Final = 200
PATIENCE_SECONDS: Final = 5.0
"""How long a read waits for a thread, and for a store that does not answer."""
END_SECONDS: Final = 10.0
"""How long the end waits for reads that run."""

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


class ReaderPool:
    """Runs reads on at most `threads` threads, which are started when they are needed. `close` it in the end."""

    def __init__(
        self,
        open_reader: Callable[[], TableReader],
        *,
        threads: int = THREADS,
        patience_seconds: float = PATIENCE_SECONDS,
        end_seconds: float = END_SECONDS,
        waiting_per_account: int = WAITING_PER_ACCOUNT,
    ) -> None:
        """`open_reader` is called by each thread, and again after a failure of its connection."""
        self._open_reader = open_reader
        self._limit = threads
        self._patience_seconds = patience_seconds
        self._end_seconds = end_seconds
        self._threads: list[ReaderThread] = []
        self._idle: list[ReaderThread] = []
        self._queue: AccountQueue[PooledRead] = AccountQueue(
            running_per_account=max(1, threads // 2),
            waiting_per_account=waiting_per_account,
            waiting=MAXIMUM_WAITING,
        )
        self._log_limit = LogRateLimit(clock=time.monotonic)
        self._is_closed = False
        self.failures = 0
        """Reads that failed because the store did not answer."""

    @property
    def waiting_reads(self) -> int:
        """How many reads wait for a thread."""
        return len(self._queue)

    async def run(self, account_id: str, read: Callable[[TableReader], _Result]) -> _Result:
        """Return `read(reader)` of a thread. The read counts for `account_id`.

        A read that runs is not stopped when its caller is cancelled; its result is dropped.
        Raises what the read raises. Raises ServerBusyError if too many reads wait, if the read waits too long, if the
        store does not answer, and after `close`.
        """
        if self._is_closed:
            raise ServerBusyError("the server is stopping")
        pooled = PooledRead(account_id, read, deadline_seconds=time.monotonic() + self._patience_seconds)
        self._queue.put(account_id, pooled)
        self._assign()
        try:
            return cast("_Result", await pooled.result)
        finally:
            if pooled.result.cancelled():
                self._queue.remove(account_id, pooled)

    async def close(self) -> None:
        """Refuse the reads that wait, and end the threads after the reads that run. Idempotent."""
        self._is_closed = True
        for read in self._queue.drain():
            read.error = ServerBusyError("the server is stopping")
            read.finish()
        for thread in self._threads:
            thread.stop()
        ends = [thread.ended for thread in self._threads]
        self._threads = []
        if ends and (await asyncio.wait(ends, timeout=self._end_seconds))[1]:
            _log.warning("reads of the book did not end in time", seconds=self._end_seconds)

    def _assign(self) -> None:
        """Give reads that wait to threads that are idle, or not started yet."""
        while (self._idle or len(self._threads) < self._limit) and not self._is_closed:
            taken = self._queue.take()
            if taken is None:
                return
            account_id, read = taken
            if time.monotonic() >= read.deadline_seconds:
                self._queue.finish(account_id)
                read.error = ServerBusyError("the read waited too long: try again")
                read.finish()
                continue
            self._take_thread().start(read)

    def _take_thread(self) -> ReaderThread:
        if self._idle:
            return self._idle.pop()
        thread = ReaderThread(self._open_reader, self._finished)
        self._threads.append(thread)
        return thread

    def _finished(self, thread: ReaderThread, read: PooledRead) -> None:
        if read.error is not None and isinstance(read.error.__cause__, BookFailedError):
            self._note_failure(read.error.__cause__)
        read.finish()
        self._queue.finish(read.account_id)
        self._idle.append(thread)
        self._assign()

    def _note_failure(self, error: BookFailedError) -> None:
        self.failures += 1
        if (more := self._log_limit.admit(type(error).__name__)) is not None:
            _log.warning("a read of the book failed", reason=str(error), **more)
