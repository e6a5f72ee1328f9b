"""Supervision of one worker process: start it, exchange messages with it, and restart it when it exits.

A supervision task runs from `start` to `stop`. Each iteration is one run of the process:

    spawn -> start command -> first report -> running -> reap -> wait for the restart delay -> spawn ...

* The process is reaped when its control socket closes, whatever the reason: it exited, it crashed, or it was killed
  because it missed too many heartbeats. A request without a reply fails for its caller only: one slow request says
  nothing about the process, and killing the process would end the media of everybody else.
* Timeouts are counted in intervals of this event loop (`wait_in_intervals`), not read from a clock. If the server is
  stopped (SIGSTOP, a suspended machine, a blocked loop) and goes on, its timers are all overdue at once while the
  reports of healthy workers still wait unread in the sockets; a clock would then condemn every one of them.
* The requests in flight are limited (`pending_requests`). More are refused with BUSY, so a client that sends requests
  faster than the process carries them out delays others by a bounded time.
* The first run must start, or `start` raises. A later run that does not start is logged and tried again.
* The restart delay doubles after each run up to a maximum (exponential backoff). It is reset after a run that was long
  enough to count as stable.
* When a run ends, every pending request fails with ENGINE_LOST and the subclass learns which connections are lost.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog

from stagebook.media.port import MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.least_rights import worker_environment
from stagebook.media.worker.pending_requests import PendingRequests
from stagebook.media.worker.worker_messages import (
    Command,
    FactReported,
    Logged,
    Reply,
    Report,
    Request,
    RequestRefused,
    StartFailed,
    Stop,
    send,
)
from stagebook.media.worker.worker_timeouts import WorkerTimeouts, wait_in_intervals

_log = structlog.get_logger(__name__)


class WorkerStartError(Exception):
    """The worker process cannot start. The message is for the operator and says what to change."""


class NoReplyError(MediaRefusedError):
    """The worker did not reply to a request in time. It may still carry out the request."""


ReplyT = TypeVar("ReplyT", bound=Reply)


class WorkerProcess(ABC):
    """One supervised process. Subclasses define the start command and react to lost runs.

    `name` is the kind of process in log lines ("media engine"), `number` distinguishes several of a kind. `module` is
    run as `python -m <module> <file descriptor of the control socket>`. `receive` reads the next report and raises
    BrokenStreamError. `on_fact` is called with each reported fact. Every run inherits the file descriptors `pass_fds`
    under the same numbers.
    """

    def __init__(
        self,
        *,
        name: str,
        number: int = 0,
        module: str,
        receive: Callable[[asyncio.StreamReader], Awaitable[Report]],
        on_fact: Callable[[MediaFact], None],
        timeouts: WorkerTimeouts,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.number = number
        self._name = name
        self._module = module
        self._receive = receive
        self._on_fact = on_fact
        self._timeouts = timeouts
        self._pass_fds = tuple(pass_fds)
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        """The control socket while the process is running; None while it is starting, being reaped or not there."""
        self._pending = PendingRequests()
        self._missed_heartbeats = 0
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

    @abstractmethod
    def _on_restart_failed(self) -> None:
        """A run other than the first did not start. The supervisor will try again."""

    @property
    def is_running(self) -> bool:
        """Whether the process has started and accepts commands."""
        return self._writer is not None

    @property
    def process_id(self) -> int | None:
        """The process id of the current run; None between two runs."""
        return self._process.pid if self._process else None

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
        if self._writer is not None:
            self.send(Stop())
        else:
            # The process is starting or being reaped. Its connections are still reported as lost.
            self._kill()
        if not await self._wait(self._supervisor, self._timeouts.stop_seconds):
            self._kill()
            await asyncio.wait([self._supervisor])

    def send(self, command: Command) -> None:
        """Send a command that has no reply. It is dropped if the process is not running."""
        if self._writer is not None:
            send(self._writer, command)

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
        if self._writer is None:
            raise self._lost_error()
        if self._pending.is_full(request):
            raise MediaRefusedError(
                reason=RefusalReason.BUSY, detail=f"the {self._name} has too many requests in flight"
            )
        try:
            send(self._writer, request)
        except ValueError as error:
            raise MediaRefusedError(reason=RefusalReason.MALFORMED, detail=str(error)) from error
        future = self._pending.add(request)
        try:
            if not await self._wait(future, self._timeouts.request_seconds):
                _log.warning(f"the {self._name} did not reply to a request in time", engine=self.number)
                raise NoReplyError(
                    reason=RefusalReason.BUSY, detail=f"the {self._name} did not reply to the request in time"
                )
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
        delay = self._timeouts.restart_delay_seconds
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
            if clock() - started_at > self._timeouts.stable_run_seconds:
                delay = self._timeouts.restart_delay_seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, self._timeouts.max_restart_delay_seconds)

    async def _run_once(self, started: asyncio.Future[None]) -> None:
        """One run, from spawn to reap. Raises WorkerStartError if the process did not start."""
        reader, writer = await self._spawn()
        watchdog = asyncio.create_task(self._watch_heartbeats())
        try:
            send(writer, self._start_command())
            self._on_started(await self._first_report(reader))
            self._missed_heartbeats = 0
            self._writer = writer
            if self._stopping.is_set():
                # `stop` was called during the start, when there was no writer to send Stop to.
                self.send(Stop())
            if not started.done():
                started.set_result(None)
            while True:
                self._handle(await self._receive(reader))
        except BrokenStreamError as error:
            if self._writer is None:
                raise WorkerStartError(f"the {self._name} exited before it was running") from error
        finally:
            # Whatever ended the run, the socket and the process go together: a process whose control socket is closed
            # exits by itself, and one that hangs is killed.
            watchdog.cancel()
            await self._reap(writer)

    async def _spawn(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Create the socket pair and start a process at its far end. Raises WorkerStartError."""
        near, far = socket.socketpair()
        try:
            with far:
                # -P: do not import modules from the working directory. A new session keeps Ctrl-C from the process,
                # and Ctrl-Z too. All descriptors that are not in pass_fds are closed.
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", self._module, str(far.fileno())),
                    pass_fds=(far.fileno(), *self._pass_fds),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                    env=worker_environment(os.environ),
                )
            return await asyncio.open_unix_connection(sock=near)
        except BaseException as error:
            near.close()  # A process that was started after all exits when its control socket closes.
            if isinstance(error, OSError):
                raise WorkerStartError(f"the {self._name} cannot be started: {error}") from error
            raise

    async def _first_report(self, reader: asyncio.StreamReader) -> Report:
        """Return the first report that is not a log record. Raises WorkerStartError, BrokenStreamError."""
        receiving = asyncio.create_task(self._receive_first(reader))
        try:
            if not await self._wait(receiving, self._timeouts.start_seconds):
                seconds = self._timeouts.start_seconds
                raise WorkerStartError(f"the {self._name} did not start within {seconds:.0f} s")
            report = receiving.result()
        finally:
            receiving.cancel()
        if isinstance(report, StartFailed):
            raise WorkerStartError(self._start_failure(report.detail))
        return report

    async def _receive_first(self, reader: asyncio.StreamReader) -> Report:
        report = await self._receive(reader)
        while isinstance(report, Logged):
            self._handle(report)
            report = await self._receive(reader)
        return report

    async def _wait(self, future: asyncio.Future[Any], seconds: float) -> bool:
        return await wait_in_intervals(future, seconds=seconds, interval_seconds=self._timeouts.heartbeat_seconds)

    async def _reap(self, writer: asyncio.StreamWriter) -> None:
        """Close the control socket, kill the process, collect its exit code, and fail the pending requests."""
        is_lost = self._writer is not None and not self._stopping.is_set()
        # From here on requests fail at once, so that none is added after `fail_all`.
        self._writer = None
        writer.close()
        self._kill()
        exit_code = await self._process.wait() if self._process is not None else None
        self._process = None
        unanswered = self._pending.fail_all(self._lost_error)
        if is_lost:
            self._on_lost(unanswered)
            _log.error(f"the {self._name} exited", engine=self.number, exit_code=exit_code)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _watch_heartbeats(self) -> None:
        """Kill the process after `max_missed_heartbeats` intervals without a report."""
        self._missed_heartbeats = 0
        while self._writer is None or self._missed_heartbeats < self._timeouts.max_missed_heartbeats:
            await asyncio.sleep(self._timeouts.heartbeat_seconds)
            self._missed_heartbeats += 1
        _log.error(f"the {self._name} does not respond and is killed", engine=self.number)
        self._kill()

    def _handle(self, report: Report) -> None:
        # Every report counts as a heartbeat: the event loop that sent it is running.
        self._missed_heartbeats = 0
        match report:
            case FactReported():
                self._pass_on(report.fact)
            case Reply():
                self._pending.resolve(report)
            case Logged():
                extra = {"values": report.values}
                logging.getLogger(report.logger).log(report.level, "%s", report.message, extra=extra)

    def _pass_on(self, fact: MediaFact) -> None:
        try:
            self._on_fact(fact)
        except Exception:  # noqa: BLE001 - an error with one connection's fact must not end the other connections
            _log.exception("a media fact could not be processed", engine=self.number)

    def _lost_error(self) -> MediaRefusedError:
        return MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail=f"the {self._name} is not running")
