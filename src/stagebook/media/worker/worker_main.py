"""The worker's side of the control socket: reads commands, writes reports, and exits with the server.

A worker process is started as `python -m <module> <file descriptor of its control socket>` would start it, with
`worker_start`. It runs until it receives Stop or until the control socket closes, so it never outlives the server, even
if the server was killed. It ignores SIGINT, SIGTERM and SIGHUP: the server receives these signals too and decides when
its workers stop.
"""

import asyncio
import gc
import importlib
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import structlog
import uvloop

from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.port import MediaFact, RefusalReason, SourceMeasured
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.least_rights import KeptRights, ProcessUser, drop_rights
from stagebook.media.worker.log_forwarding import forward_logs
from stagebook.media.worker.worker_messages import (
    Command,
    FactReported,
    Heartbeat,
    Logged,
    Report,
    Request,
    RequestRefused,
    ServerAlive,
    StartFailed,
    Stop,
    send,
)
from stagebook.media.worker.worker_timeouts import wait_in_intervals

_log = structlog.get_logger(__name__)

_HEARTBEAT_INTERVAL_SECONDS = 1.0
# Maximum size of the send queue to a server that does not read. Above it, the worker drops measurements and log
# records. It never drops replies and other facts, because the server's state depends on them.
_MAX_QUEUE_BYTES = 1 << 20

COLLECTION_THRESHOLDS = (1_000, 1_250, 20)
"""The thresholds of the garbage collector. Those of Python (700, 10, 10) traverse the objects of all connections after
70,000 allocations, and 7,000 of them for 5 ms in between. Connections leave no cycles, so that only the youngest
generation has to be collected often: for at most 2 ms, as each object takes 0.3 to 2 us."""

CommandT = TypeVar("CommandT", bound=Command)
_CommandT_contra = TypeVar("_CommandT_contra", bound=Command, contravariant=True)


class ReportWriter:
    """Writes reports to the control socket. Writing never blocks: reports are queued."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, report: Report) -> None:
        """Queue a report. It is dropped if the server is gone: the worker then ends as after Stop."""
        if not self._writer.transport.is_closing():
            send(self._writer, report)

    def send_fact(self, fact: MediaFact) -> None:
        """Queue a fact. A measurement is dropped while the queue is full."""
        if isinstance(fact, SourceMeasured) and self._is_queue_full():
            return
        self.send(FactReported(fact=fact))

    def send_measurement(self, report: Report) -> None:
        """Queue a report that a later one repeats. It is dropped while the queue is full."""
        if not self._is_queue_full():
            self.send(report)

    def send_log(self, record: Logged) -> None:
        """Queue a log record. It is dropped while the queue is full.

        A burst of log lines must not delay the replies and facts that are queued behind it.
        """
        if not self._is_queue_full():
            self.send(record)

    async def send_heartbeats(self) -> None:
        """Send a heartbeat once a second until cancelled. Heartbeats stop when the event loop is blocked.

        None is sent while the queue is full: each queued report serves as one when the server reads again, and a server
        that is stopped for days must not fill this process's memory.
        """
        while True:
            if not self._is_queue_full():
                self.send(Heartbeat())
            await asyncio.sleep(_HEARTBEAT_INTERVAL_SECONDS)

    def _is_queue_full(self) -> bool:
        transport = self._writer.transport
        return transport.is_closing() or transport.get_write_buffer_size() > _MAX_QUEUE_BYTES


class Worker(Protocol[_CommandT_contra]):
    """What one kind of worker process does: its server and its commands."""

    async def start(self) -> Report:
        """Start serving and return the report that says so. Raises OSError."""

    def handle(self, command: _CommandT_contra) -> None:
        """Execute one command, and send the reply if it is a request."""

    async def stop(self) -> None:
        """Close all connections, notifying their peers."""


async def run_worker(
    control_socket: socket.socket,
    receive: Callable[[asyncio.StreamReader], Awaitable[CommandT]],
    make_worker: Callable[[CommandT, ReportWriter], Worker[CommandT] | None],
) -> int:
    """Run one worker until Stop or until the server closes the control socket. Returns the process's exit code.

    `receive` reads the next command and raises BrokenStreamError. `make_worker` makes the worker from the first
    command; it returns None if that is not this worker's start command.
    """
    reader, writer = await asyncio.open_unix_connection(sock=control_socket)
    reports = ReportWriter(writer)
    forward_logs(reports.send_log)
    try:
        worker = make_worker(await receive(reader), reports)
        return 1 if worker is None else await _serve(worker, reader, receive, reports)
    except BrokenStreamError:
        return 0
    except Exception:  # noqa: BLE001 - the process ends, and its reason would be lost
        # Not on standard error: that may be a file, and this process may write none (`least_rights`).
        _log.exception("a worker process failed")
        return 1
    finally:
        writer.close()


async def _serve(
    worker: Worker[CommandT],
    reader: asyncio.StreamReader,
    receive: Callable[[asyncio.StreamReader], Awaitable[CommandT]],
    reports: ReportWriter,
) -> int:
    """Start the worker and execute commands until Stop. Raises BrokenStreamError if the control socket closes."""
    try:
        running = await worker.start()
    except OSError as error:
        reports.send(StartFailed(detail=error.strerror or str(error)))
        return 1
    # Modules and settings stay alive as long as the process. Excluding them makes each full collection, and so the
    # longest pause of the media path, shorter.
    gc.freeze()
    reports.send(running)
    log_limit = LogRateLimit(clock=time.monotonic)
    heartbeats = asyncio.create_task(reports.send_heartbeats())
    timeout_seconds: float | None = None
    try:
        while not isinstance(command := await _receive(reader, receive, timeout_seconds), Stop):
            if isinstance(command, ServerAlive):
                timeout_seconds = command.timeout_seconds
            else:
                _handle(worker, command, reports, log_limit)
            # `receive` does not yield while commands are buffered. One turn of the loop after each command keeps media
            # and heartbeats going during a burst of requests.
            await asyncio.sleep(0)
        return 0
    finally:
        heartbeats.cancel()
        await worker.stop()


async def _receive(
    reader: asyncio.StreamReader,
    receive: Callable[[asyncio.StreamReader], Awaitable[CommandT]],
    timeout_seconds: float | None,
) -> CommandT:
    """Return the next command. Raises BrokenStreamError if the socket closes, or if there is none within the time.

    The time is counted in intervals that the loop of this process has carried out: after a stop of both processes, the
    commands of the server are read first.
    """
    if timeout_seconds is None:
        return await receive(reader)
    receiving = asyncio.ensure_future(receive(reader))
    if not await wait_in_intervals(receiving, seconds=timeout_seconds, interval_seconds=timeout_seconds / 4):
        receiving.cancel()
        raise BrokenStreamError("the server is stopped")
    return receiving.result()


def _handle(worker: Worker[CommandT], command: CommandT, reports: ReportWriter, log_limit: LogRateLimit) -> None:
    """Execute a command. An exception ends this command only; a request is refused then, so that its caller does not
    wait and it does not stay in flight."""
    try:
        worker.handle(command)
    except Exception:  # noqa: BLE001 - an error with one connection must not end all others
        suppressed = log_limit.admit("command")
        if suppressed is not None:
            _log.exception("a command failed", command=type(command).__name__, **suppressed)
        if isinstance(command, Request):
            reports.send(
                RequestRefused(
                    request_id=command.request_id, reason=RefusalReason.ENGINE_LOST, detail="the media process failed"
                )
            )


def worker_main(
    serve: Callable[[socket.socket], Coroutine[Any, Any, int]],
    *,
    late_modules: Sequence[str] = (),
    kept_rights: KeptRights = KeptRights(),  # noqa: B008 - frozen
) -> int:
    """The entry point of a worker process.

    Its arguments are the file descriptor of the control socket and, if it becomes another user, the ids of that user
    and its group, and 1 if it may bind ports below 1024.

    `late_modules` are imported when they are first needed. If the process becomes another user, they are imported at
    once: that user may be unable to read the files of Python, for example below the home directory of root.

    Returns the exit code that `serve` returns. Raises OSError if the process cannot give up its rights.
    """
    descriptor, *identity = map(int, sys.argv[1:])
    user = None
    if identity:
        user = ProcessUser(user_id=identity[0], group_id=identity[1], binds_low_ports=bool(identity[2]))
        for module in late_modules:
            importlib.import_module(module)
    # `worker_start` has disabled it. The modules stay: no collection need look at their objects.
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)
    gc.enable()
    drop_rights(user, kept=kept_rights)
    # A terminal sends SIGINT and SIGHUP to the whole group, and a supervisor may send SIGTERM to all processes.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control_socket = socket.socket(fileno=descriptor)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(control_socket))
