"""The process's end of what `child` keeps: commands in, reports and log lines out, and an end with the parent.

Logs nothing itself: lines travel to the parent. Terminal and service signals go to the parent, which decides.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Protocol, TypeVar

import structlog
import uvloop

from stagebook.media.port import MediaFact, SourceMeasured
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.worker_messages import Alive, Command, FactReported, Logged, NotRunning, Report, Stop, send

_ALIVE_INTERVAL_SECONDS = 1.0
# What waits for a parent that does not read: beyond this, measurements and log lines are dropped, and nothing else.
_MAX_BACKLOG_BYTES = 1 << 20

CommandT = TypeVar("CommandT", bound=Command)
_CommandT_contra = TypeVar("_CommandT_contra", bound=Command, contravariant=True)


class Reporter:
    """The process's end of the control socket, for writing."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, report: Report) -> None:
        """Queue a report."""
        send(self._writer, report)

    def hear(self, fact: MediaFact) -> None:
        """Pass a fact on; a measurement only while the parent keeps up."""
        if isinstance(fact, SourceMeasured) and self._behind():
            return
        self.send(FactReported(fact=fact))

    def log(self, line: Logged) -> None:
        """Pass a log line on while the parent keeps up."""
        if not self._behind():
            self.send(line)

    async def keep_telling(self) -> None:
        """Say that the event loop turns, for as long as it does."""
        while True:
            self.send(Alive())
            await asyncio.sleep(_ALIVE_INTERVAL_SECONDS)

    def _behind(self) -> bool:
        return self._writer.transport.get_write_buffer_size() > _MAX_BACKLOG_BYTES


class Work(Protocol[_CommandT_contra]):
    """What a process is for."""

    async def start(self) -> Report:
        """Begin, and return the report that says so. Raises OSError."""

    def obey(self, command: _CommandT_contra) -> None:
        """Carry out one command."""

    async def stop(self) -> None:
        """Say goodbye to all peers."""


async def serve_parent(
    control_socket: socket.socket,
    receive: Callable[[asyncio.StreamReader], Awaitable[CommandT]],
    make: Callable[[CommandT, Reporter], Work[CommandT] | None],
) -> int:
    """Do the work that `make` makes of the first command until Stop or until the parent is gone. Returns the exit code.

    `receive` reads the next command. `make` returns None for a command that is no beginning.
    """
    reader, writer = await asyncio.open_unix_connection(sock=control_socket)
    reporter = Reporter(writer)
    _log_to(reporter)
    try:
        work = make(await receive(reader), reporter)
        return 1 if work is None else await _do(work, reader, receive, reporter)
    except BrokenStreamError:
        return 0
    finally:
        writer.close()


async def _do(
    work: Work[CommandT],
    reader: asyncio.StreamReader,
    receive: Callable[[asyncio.StreamReader], Awaitable[CommandT]],
    reporter: Reporter,
) -> int:
    try:
        running = await work.start()
    except OSError as error:
        reporter.send(NotRunning(detail=error.strerror or str(error)))
        return 1
    gc.freeze()  # what lives as long as the process need not be looked at again and again
    reporter.send(running)
    telling = asyncio.create_task(reporter.keep_telling())
    try:
        while not isinstance(command := await receive(reader), Stop):
            work.obey(command)
        return 0
    finally:
        telling.cancel()
        await work.stop()


def run_process(serve: Callable[[socket.socket], Coroutine[Any, Any, int]]) -> int:
    """The entry of a process whose one argument is the descriptor of its control socket. Returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control_socket = socket.socket(fileno=int(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(control_socket))


class _ReportingHandler(logging.Handler):
    """Hands each log record to the parent."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        values = getattr(record, "values", {})
        self._reporter.log(Logged(logger=record.name, level=record.levelno, text=self.format(record), values=values))


def _log_to(reporter: Reporter) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_ReportingHandler(reporter)]
    root.setLevel(logging.INFO)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.format_exc_info, _keep_values],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _keep_values(
    _logger: object, _method: str, line: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, dict[str, Any]]]:
    """Hand a line on with its values beside it: the server's log has a form of its own for them."""
    text = str(line.pop("event", ""))
    values = {
        name: value if value is None or isinstance(value, str | int | float) else str(value)
        for name, value in line.items()
    }
    return (text,), {"extra": {"values": values}}
