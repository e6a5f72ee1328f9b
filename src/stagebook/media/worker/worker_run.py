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
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import structlog

from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.least_rights import ProcessUser, worker_environment
from stagebook.media.worker.worker_messages import Command, Logged, Report, send
from stagebook.media.worker.worker_timeouts import WorkerTimeouts, wait_in_intervals

_log = structlog.get_logger(__name__)

ReceiveReport: TypeAlias = Callable[[asyncio.StreamReader], Awaitable[Report]]
"""Reads the next report. Raises BrokenStreamError."""


class WorkerStartError(Exception):
    """The worker process cannot start. The message is for the operator and says what to change."""


class WorkerRun:
    """A spawned process. Use `spawn`; `reap` ends it in any case."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        *,
        name: str,
        number: int,
        receive: ReceiveReport,
        timeouts: WorkerTimeouts,
    ) -> None:
        self._process = process
        self._reader, self._writer = streams
        self._name = name
        self._number = number
        self._receive = receive
        self._timeouts = timeouts
        self._missed_heartbeats = 0
        self._watchdog: asyncio.Task[None] | None = None

    @classmethod
    async def spawn(
        cls,
        module: str,
        *,
        name: str,
        number: int,
        pass_fds: Sequence[int],
        user: ProcessUser | None,
        receive: ReceiveReport,
        timeouts: WorkerTimeouts,
    ) -> "WorkerRun":
        """Start `python -m <module> <file descriptor of the control socket>`. Raises WorkerStartError.

        The process becomes `user` before it reads from the socket; None keeps the user of this process.

        `name` and `number` are for log lines and errors. The process inherits the descriptors `pass_fds` under the same
        numbers.
        """
        near, far = socket.socketpair()
        try:
            with far:
                # -P: do not import modules from the working directory. A new session keeps Ctrl-C from the process,
                # and Ctrl-Z too. All descriptors that are not in pass_fds are closed.
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", module, str(far.fileno()), *_user_arguments(user)),
                    pass_fds=(far.fileno(), *pass_fds),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                    env=worker_environment(os.environ),
                )
            streams = await asyncio.open_unix_connection(sock=near)
        except BaseException as error:
            near.close()  # A process that was started after all exits when its control socket closes.
            if isinstance(error, OSError):
                raise WorkerStartError(f"the {name} cannot be started: {error}") from error
            raise
        return cls(process, streams, name=name, number=number, receive=receive, timeouts=timeouts)

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
                raise WorkerStartError(f"the {self._name} did not start within {seconds:.0f} s")
            report = receiving.result()
        except BrokenStreamError as error:
            raise WorkerStartError(f"the {self._name} exited before it was running") from error
        finally:
            receiving.cancel()
        self._watchdog = asyncio.create_task(self._watch_heartbeats())
        return report

    async def next_report(self) -> Report:
        """Return the next report that is not a log record, and write the log records before it to the server's log.

        Raises BrokenStreamError when the process has closed its control socket.
        """
        while True:
            report = await self._receive(self._reader)
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
        _log.error(f"the {self._name} does not respond and is killed", engine=self._number)
        self.kill()


def _user_arguments(user: ProcessUser | None) -> tuple[str, ...]:
    return () if user is None else (str(user.user_id), str(user.group_id))
