"""The pool of history processes; implements `HistoryReader`.

Reads of the history may take long, and Python runs one thread of a process at a time. So they run in processes of
their own, and the event loop only passes on bytes. A process is started when a read needs it. It runs one read at a
time; further reads wait in the order of their arrival. One that does not answer in time, although it should stop by
itself, is killed. After the end of a process the next read starts another.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Concatenate, cast

import structlog

from stagebook.book.book_errors import BookDamagedError, BookFailedError
from stagebook.book.book_source import BookSource, DatabaseSource
from stagebook.history.history_files import HistoryFiles
from stagebook.history.history_reader import Parameters, Result
from stagebook.history.processes.history_messages import ReadDone, ReadFailed, ReadRequest, decode, request_frame
from stagebook.history.processes.running_process import ProcessEndedError, RunningProcess
from stagebook.log_rate_limit import LogRateLimit
from stagebook.stage.errors import ServerBusyError

MAXIMUM_WAITING_READS = 100
"""How many reads may wait for a process. More are refused, so that neither memory nor waiting times grow."""

READ_SECONDS = 2.0
"""How long a read may run."""

KILL_SECONDS = 10.0
"""How long after that a process may take to stop the read before it is killed. It includes the start of the process."""

_log = structlog.get_logger(__name__)


class HistoryProcesses:
    """Runs reads in at most `processes` processes. `close` must be called in the end.

    `read_seconds` is the time that a read may run in a process, and `kill_seconds` the time that the process may take
    in addition to start, to stop the read and to reply.
    """

    def __init__(
        self,
        source: BookSource,
        *,
        processes: int,
        read_seconds: float = READ_SECONDS,
        kill_seconds: float = KILL_SECONDS,
    ) -> None:
        self._source = source
        self._read_seconds = read_seconds
        self._turn_seconds = read_seconds + kill_seconds
        self._free_slots = asyncio.Semaphore(processes)
        self._idle: list[RunningProcess] = []
        self._turns: set[asyncio.Task[bytes]] = set()
        self._waiting = 0
        self._log_limit = LogRateLimit(clock=time.monotonic)
        self._is_closed = False

    async def run(
        self,
        read: Callable[Concatenate[HistoryFiles, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """See `HistoryReader.run`."""
        frame = request_frame(ReadRequest(read=read, args=args, kwargs=kwargs, seconds=self._read_seconds))
        match decode(await self._exchange(frame)):
            case ReadDone(value=value):
                return cast("Result", value)
            case ReadFailed() as failed:
                raise self._raised(failed.exception())
            case other:
                raise TypeError(f"not a reply: {other!r}")

    def _raised(self, error: Exception) -> Exception:
        """Return what a caller gets for the error of a read. A database that does not answer may do so soon."""
        is_database = isinstance(self._source, DatabaseSource)
        if not is_database or not isinstance(error, BookFailedError) or isinstance(error, BookDamagedError):
            return error
        if (more := self._log_limit.admit(type(error).__name__)) is not None:
            _log.warning("a read of the history failed", reason=str(error), **more)
        return ServerBusyError("the database does not answer: try again")

    @property
    def running_reads(self) -> int:
        """How many reads the processes are doing."""
        return len(self._turns)

    @property
    def waiting_reads(self) -> int:
        """How many reads wait for a process."""
        return self._waiting

    async def close(self) -> None:
        """Stop all reads and end the processes. Idempotent."""
        self._is_closed = True
        for turn in self._turns:
            turn.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(process.end() for process in idle))

    async def _exchange(self, frame: bytes) -> bytes:
        """Return the reply to a request. A turn goes on after its caller is cancelled, until the process is free."""
        await self._wait_for_slot()
        process = self._take_process()
        turn = asyncio.create_task(self._take_turn(process, frame))
        self._turns.add(turn)
        turn.add_done_callback(self._end_turn)
        try:
            return await asyncio.shield(turn)
        except asyncio.CancelledError:
            if not turn.done():
                process.stop_read()
            self._require_open()
            raise
        except ProcessEndedError as error:
            raise ServerBusyError("the read was interrupted: try again") from error

    async def _wait_for_slot(self) -> None:
        self._require_open()
        if self._waiting >= MAXIMUM_WAITING_READS:
            raise ServerBusyError("too many reads of the history are waiting: try again")
        self._waiting += 1
        try:
            await self._free_slots.acquire()
        finally:
            self._waiting -= 1
        try:
            self._require_open()
        except ServerBusyError:
            self._free_slots.release()
            raise

    def _require_open(self) -> None:
        if self._is_closed:
            raise ServerBusyError("the server is stopping")

    def _take_process(self) -> RunningProcess:
        """Return an idle process. One that has exited since its last read was killed from outside: it is dropped."""
        while self._idle:
            process = self._idle.pop()
            if not process.has_exited:
                return process
            process.close()
        return RunningProcess(self._source)

    async def _take_turn(self, process: RunningProcess, frame: bytes) -> bytes:
        is_usable = False
        try:
            async with asyncio.timeout(self._turn_seconds):
                reply = await process.exchange(frame)
            is_usable = True
            return reply
        except TimeoutError:
            _log.error("a history process does not respond and is killed", process=process.process_id)
            raise ProcessEndedError from None
        finally:
            if is_usable:
                self._idle.append(process)
            else:
                await process.end()

    def _end_turn(self, turn: asyncio.Task[bytes]) -> None:
        self._turns.discard(turn)
        self._free_slots.release()
        if not turn.cancelled():
            turn.exception()  # The caller may have been cancelled: nobody else retrieves the exception.
