"""Supervision of one worker process: start it, exchange messages with it, and restart it when it exits.

A supervision task runs from `start` to `stop`. Each iteration is one run of the process:

    spawn -> start command -> first report -> running -> reap -> wait for the restart delay -> spawn ...

* A run (`worker_run`) ends when its control socket closes, whatever the reason: the process exited, it crashed, or it
  was killed because it missed too many heartbeats. A request without a reply fails for its caller only: one slow
  request says nothing about the process, and killing the process would end the media of everybody else.
* The requests in flight are limited (`pending_requests`). More are refused with BUSY, so a client that sends requests
  faster than the process carries them out delays others by a bounded time.
* The first run must start, or `start` raises. A later run that does not start is logged and tried again.
* The delay before the next run grows with each one (`worker_timeouts.RestartDelay`).
* When a run ends, every pending request fails with ENGINE_LOST and the subclass learns which connections are lost.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog

from stagebook.media.port import MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.pending_requests import NoReplyError, PendingRequests
from stagebook.media.worker.worker_messages import (
    Command,
    FactReported,
    Reply,
    Report,
    Request,
    RequestRefused,
    ServerAlive,
    StartFailed,
    Stop,
)
from stagebook.media.worker.worker_run import WorkerProgram, WorkerRun, WorkerStartError
from stagebook.media.worker.worker_timeouts import RestartDelay, WorkerTimeouts, wait_in_intervals

_log = structlog.get_logger(__name__)

_SIGNS_PER_TIMEOUT = 10

ReplyT = TypeVar("ReplyT", bound=Reply)


class WorkerProcess(ABC):
    """One supervised process. Subclasses define the start command and react to lost runs."""

    def __init__(
        self, program: WorkerProgram, *, on_fact: Callable[[MediaFact], None], timeouts: WorkerTimeouts
    ) -> None:
        """`on_fact` is called with each reported fact."""
        self.number = program.number
        self._program = program
        self._name = program.name
        self._on_fact = on_fact
        self._timeouts = timeouts
        self._run: WorkerRun | None = None
        """None between two runs."""
        self._running: WorkerRun | None = None
        """The run while the process accepts commands; None while it is starting, being reaped or not there."""
        self._pending = PendingRequests()
        self.losses = 0
        """How often the running process has exited without being asked to."""
        self._stopping = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    @abstractmethod
    def _start_command(self) -> Command:
        """Return the first command of a run."""

    @abstractmethod
    def _on_started(self, report: Report) -> None:
        """Process the first report of a run, which is not StartFailed. Raises WorkerStartError if it is unexpected."""

    @abstractmethod
    def _start_failure(self, detail: str) -> str:
        """Return the operator's error message for a process that reported StartFailed with `detail`."""

    @abstractmethod
    def _on_lost(self, unanswered: Sequence[Request]) -> None:
        """The running process exited without being asked to. The requests `unanswered` have failed."""

    def _on_report(self, report: Report) -> None:  # noqa: B027 - most kinds have none of their own
        """Process a report that is not common to all kinds of workers."""

    def _on_restart_failed(self) -> None:  # noqa: B027 - most kinds have nothing to do
        """A run other than the first did not start. The supervisor will try again."""

    @property
    def is_running(self) -> bool:
        """Whether the process has started and accepts commands."""
        return self._running is not None

    @property
    def process_id(self) -> int | None:
        """The process id of the current run; None between two runs."""
        return self._run.process_id if self._run else None

    async def start(self) -> None:
        """Start the supervision and wait until the first run is running. Raises WorkerStartError."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(started))
        # If `stop` ends the supervision before the first run has started, the caller of `start` gets a CancelledError.
        self._supervisor.add_done_callback(lambda _: started.cancel())
        await started

    async def stop(self) -> None:
        """Send Stop and wait for the exit. Kill the process if it has not exited after `stop_seconds`."""
        self._stopping.set()
        if self._supervisor is None:
            return
        if self.is_running:
            self.send(Stop())
        else:
            # The process is starting or being reaped. Its connections are still reported as lost.
            self._kill()
        if not await self._wait(self._supervisor, self._timeouts.stop_seconds):
            self._kill()
            await asyncio.wait([self._supervisor])

    def send(self, command: Command) -> None:
        """Send a command that has no reply. It is dropped if the process is not running."""
        if self._running is not None:
            self._running.send(command)

    def next_request_id(self) -> int:
        """Return an unused id for a request."""
        return self._pending.next_id()

    async def request(self, request: Request, expected: type[ReplyT]) -> ReplyT:
        """Send a request and wait for its reply, which is of type `expected`.

        Raises MediaRefusedError: with the worker's reason if it refused, MALFORMED if the request cannot be encoded,
        BUSY if too many requests are in flight, ENGINE_LOST if the process is not running or exits before it replies.
        Raises NoReplyError if there is no reply within `request_seconds`. The process may still carry out the request
        then, as it may after a cancellation, so the caller undoes what it asked for.
        """
        if self._running is None:
            raise self._lost_error()
        if self._pending.is_full(request):
            raise MediaRefusedError(reason=RefusalReason.BUSY, detail=f"the {self._name} has too many requests")
        try:
            self._running.send(request)
        except ValueError as error:
            raise MediaRefusedError(reason=RefusalReason.MALFORMED, detail=str(error)) from error
        future = self._pending.add(request)
        try:
            if not await self._wait(future, self._timeouts.request_seconds):
                _log.warning(f"the {self._name} did not reply to a request in time", engine=self.number)
                raise NoReplyError(reason=RefusalReason.BUSY, detail=f"the {self._name} did not reply in time")
            reply = future.result()
        finally:
            # A request that was not replied to stays in flight until the reply comes: it still occupies the process.
            self._pending.abandon(request)
        if isinstance(reply, RequestRefused):
            raise MediaRefusedError(reason=reply.reason, detail=reply.detail)
        if not isinstance(reply, expected):
            raise self._lost_error()
        return reply

    async def _supervise(self, started: asyncio.Future[None]) -> None:
        """Run the process again and again until `stop`. The result of the first start goes to `started`."""
        clock = asyncio.get_running_loop().time
        delay = RestartDelay(self._timeouts)
        while not self._stopping.is_set():
            started_at = clock()
            try:
                await self._run_once(started)
            except WorkerStartError as error:
                if not started.done():
                    started.set_exception(error)
                    return
                if self._stopping.is_set():
                    return
                _log.error(f"the {self._name} failed to restart", engine=self.number, detail=str(error))
                self._on_restart_failed()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay.after_run(clock() - started_at))

    async def _run_once(self, started: asyncio.Future[None]) -> None:
        """One run, from spawn to reap. Raises WorkerStartError if the process did not start."""
        self._run = run = await WorkerRun.spawn(self._program, timeouts=self._timeouts)
        try:
            run.send(self._start_command())
            report = await run.first_report()
            if isinstance(report, StartFailed):
                raise WorkerStartError(self._start_failure(report.detail))
            self._on_started(report)
            self._running = run
            if self._stopping.is_set():
                # `stop` was called during the start, when there was no process to send Stop to.
                self.send(Stop())
            if not started.done():
                started.set_result(None)
            await self._handle_reports(run)
        except BrokenStreamError:
            return
        finally:
            await self._reap(run)

    async def _handle_reports(self, run: WorkerRun) -> None:
        """Handle the reports of a run. Raises BrokenStreamError at its end."""
        showing = asyncio.create_task(self._show_life(run))
        try:
            while True:
                self._handle(await run.next_report())
        finally:
            showing.cancel()

    async def _show_life(self, run: WorkerRun) -> None:
        """Tell the process again and again that this one is carried out, if the process wants to know."""
        timeout_seconds = self._timeouts.server_timeout_seconds
        while timeout_seconds is not None:
            run.send(ServerAlive(timeout_seconds=timeout_seconds))
            await asyncio.sleep(timeout_seconds / _SIGNS_PER_TIMEOUT)

    async def _wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        return await wait_in_intervals(future, seconds=seconds, interval_seconds=self._timeouts.heartbeat_seconds)

    async def _reap(self, run: WorkerRun) -> None:
        """End the run, and fail the pending requests."""
        is_lost = self.is_running and not self._stopping.is_set()
        # From here on requests fail at once, so that none is added after `fail_all`.
        self._running = None
        exit_code = await run.reap()
        self._run = None
        unanswered = self._pending.fail_all(self._lost_error)
        if is_lost:
            self.losses += 1
            self._on_lost(unanswered)
            _log.error(f"the {self._name} exited", engine=self.number, exit_code=exit_code)

    def _kill(self) -> None:
        if self._run is not None:
            self._run.kill()

    def _handle(self, report: Report) -> None:
        match report:
            case FactReported():
                try:
                    self._on_fact(report.fact)
                except Exception:  # noqa: BLE001 - an error with one connection's fact must not end the others
                    _log.exception("a media fact could not be processed", engine=self.number)
            case Reply():
                self._pending.resolve(report)
            case _:
                self._on_report(report)

    def _lost_error(self) -> MediaRefusedError:
        return MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail=f"the {self._name} is not running")
