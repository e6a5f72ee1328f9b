"""One run of a worker process, from its start to its exit, as the server sees it.

    spawn -> first_report -> next_report, next_report ... -> reap

The control socket and the process go together: a process whose control socket is closed exits by itself, and one that
hangs is killed. A process hangs if `max_missed_heartbeats` intervals pass without a report. Intervals are counted in
turns of this event loop (`worker_timeouts`).
"""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.least_rights import ProcessUser, worker_environment
from stagebook.media.worker.worker_messages import Command, Logged, Report, send
from stagebook.media.worker.worker_timeouts import WorkerTimeouts, wait_in_intervals

_log = structlog.get_logger(__name__)


class WorkerStartError(Exception):
    """The worker process cannot start. The message is for the operator and says what to change."""


class WorkerProgram(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process runs, and with which rights."""

    name: str
    """The kind of process in log lines and errors: "media engine"."""
    number: int
    """Distinguishes several processes of a kind."""
    module: str
    """Run as `python -m <module> <file descriptor of the control socket>` would, by `worker_start`."""
    receive: Callable[[asyncio.StreamReader], Awaitable[Report]]
    """Reads the next report. Raises BrokenStreamError."""
    pass_fds: tuple[int, ...] = ()
    """The file descriptors that each run inherits under the same numbers."""
    kept_variables: tuple[str, ...] = ()
    """Prefixes of the variables of the server's environment that each run gets as well."""
    folder: str | None = None
    """The working directory; None: that of the server. The process can use what is in it, even if its user may not
    enter the folders above."""
    user: ProcessUser | None
    """The user that the process becomes before it reads from the control socket, which only root can; None keeps the
    server's user."""


class WorkerRun:
    """A spawned process. Use `spawn`; `reap` ends it in any case."""

    def __init__(
        self,
        program: WorkerProgram,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        timeouts: WorkerTimeouts,
    ) -> None:
        self._program = program
        self._process = process
        self._reader, self._writer = streams
        self._timeouts = timeouts
        self._missed_heartbeats = 0
        self._watchdog: asyncio.Task[None] | None = None

    @classmethod
    async def spawn(cls, program: WorkerProgram, *, timeouts: WorkerTimeouts) -> "WorkerRun":
        """Start a process. Raises WorkerStartError."""
        near, far = socket.socketpair()
        try:
            with far:
                process = await _create_process(program, far.fileno())
            streams = await asyncio.open_unix_connection(sock=near)
        except BaseException as error:
            near.close()  # A process that was started after all exits when its control socket closes.
            if isinstance(error, OSError):
                raise WorkerStartError(f"the {program.name} cannot be started: {error}") from error
            raise
        return cls(program, process, streams, timeouts=timeouts)

    @property
    def process_id(self) -> int:
        """The process id, also of a process that has exited."""
        return self._process.pid

    def send(self, command: Command) -> None:
        """Queue a command for sending."""
        send(self._writer, command)

    async def first_report(self) -> Report:
        """Return the first report that is not a log record, and watch the process's heartbeats from now on.

        Raises WorkerStartError if it does not come in time or the process exits before.
        """
        receiving = asyncio.create_task(self.next_report())
        seconds, interval_seconds = self._timeouts.start_seconds, self._timeouts.heartbeat_seconds
        try:
            if not await wait_in_intervals(receiving, seconds=seconds, interval_seconds=interval_seconds):
                raise WorkerStartError(f"the {self._program.name} did not start within {seconds:.0f} s")
            report = receiving.result()
        except BrokenStreamError as error:
            raise WorkerStartError(f"the {self._program.name} exited before it was running") from error
        finally:
            receiving.cancel()
        self._watchdog = asyncio.create_task(self._watch_heartbeats())
        return report

    async def next_report(self) -> Report:
        """Return the next report that is not a log record, and write the log records before it to the server's log.

        Raises BrokenStreamError when the process has closed its control socket.
        """
        while True:
            report = await self._program.receive(self._reader)
            # Every report counts as a heartbeat: the event loop that sent it is running.
            self._missed_heartbeats = 0
            if not isinstance(report, Logged):
                return report
            extra = {"values": report.values}
            logging.getLogger(report.logger).log(report.level, "%s", report.message, extra=extra)

    def kill(self) -> None:
        """Kill the process if it has not exited."""
        if self._process.returncode is None:
            self._process.kill()

    async def reap(self) -> int:
        """Close the control socket, kill the process, and return its exit code (negative: the signal)."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._writer.close()
        self.kill()
        return await self._process.wait()

    async def _watch_heartbeats(self) -> None:
        """Kill the process after `max_missed_heartbeats` intervals without a report."""
        while self._missed_heartbeats < self._timeouts.max_missed_heartbeats:
            await asyncio.sleep(self._timeouts.heartbeat_seconds)
            self._missed_heartbeats += 1
        _log.error(f"the {self._program.name} does not respond and is killed", engine=self._program.number)
        self.kill()


async def _create_process(program: WorkerProgram, control_descriptor: int) -> asyncio.subprocess.Process:
    # -P: do not import modules from the working directory. A new session keeps Ctrl-C from the process, and Ctrl-Z too.
    # All descriptors that are not in pass_fds are closed.
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "stagebook.media.worker.worker_start", program.module),
        *(str(control_descriptor), *_user_arguments(program.user)),
        pass_fds=(control_descriptor, *program.pass_fds),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        cwd=program.folder,
        env=worker_environment(os.environ, kept=program.kept_variables),
    )


def _user_arguments(user: ProcessUser | None) -> tuple[str, ...]:
    return () if user is None else (str(user.user_id), str(user.group_id), str(int(user.binds_low_ports)))
