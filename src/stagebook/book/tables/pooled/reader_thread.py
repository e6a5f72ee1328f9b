"""A thread that reads the book on a connection of its own.

A connection that has failed is closed, and the read is tried again on a new one until its deadline: a database that
restarts takes some seconds, and reads can be repeated.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from stagebook.book.book_errors import BookDamagedError, BookFailedError
from stagebook.book.tables.table_reader import TableReader
from stagebook.stage.errors import ServerBusyError

RETRY_SECONDS = 0.1
"""The pause between attempts to reach the store."""


class PooledRead:
    """A read that waits for a thread or runs on one. `result` has its result or its error, unless it is cancelled."""

    __slots__ = ("account_id", "deadline_seconds", "error", "read", "result", "value")

    def __init__(self, account_id: str, read: Callable[[TableReader], Any], *, deadline_seconds: float) -> None:
        """The deadline is a time of the monotonic clock. Must be called on the event loop's thread."""
        self.account_id = account_id
        self.read = read
        self.deadline_seconds = deadline_seconds
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.value: Any = None
        self.error: Exception | None = None

    def finish(self) -> None:
        """Answer the caller, if it still waits. Must be called on the event loop's thread."""
        if self.result.done():
            return
        if self.error is None:
            self.result.set_result(self.value)
        else:
            self.result.set_exception(self.error)


class ReaderThread:
    """Runs one read after another. `stop` must be called in the end; `ended` is done when the connection is closed."""

    def __init__(
        self, open_reader: Callable[[], TableReader], on_finished: Callable[["ReaderThread", PooledRead], None]
    ) -> None:
        """`on_finished` is called on the event loop's thread after each read."""
        self._open_reader = open_reader
        self._on_finished = on_finished
        self._reader: TableReader | None = None
        self._reads: SimpleQueue[PooledRead | None] = SimpleQueue()
        self._is_stopping = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        # A read that never returns must not keep the process from exiting.
        threading.Thread(target=self._serve, name="book reader", daemon=True).start()

    def start(self, read: PooledRead) -> None:
        """Run a read. The one before it must be finished."""
        self._reads.put(read)

    def stop(self) -> None:
        """Close the connection after the read that runs."""
        self._is_stopping.set()
        self._reads.put(None)

    def _serve(self) -> None:
        while (read := self._reads.get()) is not None:
            try:
                read.value = self._run(read)
            except Exception as error:  # noqa: BLE001 - the caller gets it
                read.error = error
            self._call(self._on_finished, self, read)
        self._close_reader()
        self._call(self.ended.set_result, None)

    def _run(self, read: PooledRead) -> Any:  # noqa: ANN401 - what the read returns
        while True:
            try:
                if self._reader is None:
                    self._reader = self._open_reader()
                return read.read(self._reader)
            except BookDamagedError:
                raise
            except BookFailedError as error:
                self._close_reader()
                if time.monotonic() >= read.deadline_seconds or self._is_stopping.wait(RETRY_SECONDS):
                    raise ServerBusyError("the store of the book does not answer: try again") from error

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(BookFailedError):
                reader.close_reading()

    def _call(self, function: Callable[..., object], *args: object) -> None:
        # The event loop may have ended before a read that took too long.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)
