"""One media process, kept alive: started, spoken to, watched, and started again when it ends.

Knows the life of a process and requests with their replies; what the process does is for the class built on this.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import TypeVar

import msgspec
import structlog

from stagebook.media.port import MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.framing import BrokenStreamError
from stagebook.media.worker.worker_messages import (
    Command,
    FactReported,
    Logged,
    NotRunning,
    Refused,
    Reply,
    Report,
    Request,
    Stop,
    send,
)

_log = structlog.get_logger(__name__)


class WorkerTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long a process is waited for, in seconds."""

    start_seconds: float = 30.0
    stop_seconds: float = 5.0
    request_seconds: float = 10.0
    turn_seconds: float = 1.0
    silent_turns: int = 10
    """A process that says nothing for so many turns hangs. Turns are counted and not the clock, so that a server that
    was itself held up does not blame its processes."""
    first_delay_seconds: float = 0.1
    max_delay_seconds: float = 5.0
    """Between two starts; doubled each time."""
    settled_seconds: float = 10.0
    """A process that lived this long was no failed start: the delay begins anew."""


class WorkerStartError(Exception):
    """A media process cannot start at all; the text says what to change."""


ReplyT = TypeVar("ReplyT", bound=Reply)


class WorkerProcess(ABC):
    """One process: `python -m <module> <file descriptor of its control socket>`.

    `name` is what a person reads in the log ("media engine"), with `number` where there are several. `receive` reads
    the process's next report. Every life of it inherits the descriptors `pass_fds` under their own numbers.
    """

    def __init__(
        self,
        *,
        name: str,
        number: int = 0,
        module: str,
        receive: Callable[[asyncio.StreamReader], Awaitable[Report]],
        hear: Callable[[MediaFact], None],
        timeouts: WorkerTimeouts,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.number = number
        self._name = name
        self._module = module
        self._receive = receive
        self._hear = hear
        self._patience = timeouts
        self._pass_fds = tuple(pass_fds)
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: dict[int, tuple[Request, asyncio.Future[Reply]]] = {}
        self._request_ids = count(1)
        self._silent_turns = 0
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @abstractmethod
    def _run_command(self) -> Command:
        """The first command of a life."""

    @abstractmethod
    def _runs(self, report: Report) -> None:
        """Take the first report of a life, which is not NotRunning. Raises WorkerStartError."""

    @abstractmethod
    def _why_not(self, detail: str) -> str:
        """Say for a person what the process could not do at its start."""

    @abstractmethod
    def _lost(self, unanswered: Sequence[Request]) -> None:
        """The process ended unasked. The requests `unanswered` get no reply any more."""

    @abstractmethod
    def _not_started_again(self) -> None:
        """A later life did not come to run; another try follows."""

    @property
    def running(self) -> bool:
        """Whether commands reach a process now."""
        return self._writer is not None

    @property
    def process_id(self) -> int | None:
        """The process's id while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process and wait until it runs. Raises WorkerStartError."""
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(started))
        self._keeper.add_done_callback(lambda _: started.cancel())
        await started

    async def stop(self) -> None:
        """Ask the process to say goodbye and exit; kill it if it does not."""
        self._stopping.set()
        if self._keeper is None:
            return
        if self._writer is not None:
            self.tell(Stop())
        else:
            # It is being started or buried; neither is worth waiting for, and what was lost is still told.
            self._kill()
        await asyncio.wait([self._keeper], timeout=self._patience.stop_seconds)
        if not self._keeper.done():
            self._kill()
            await asyncio.wait([self._keeper])

    def tell(self, command: Command) -> None:
        """Send a command that is not replied to. Without a process there is nobody to tell, which is fine."""
        if self._writer is not None:
            send(self._writer, command)

    def request_id(self) -> int:
        """A fresh id for a request."""
        return next(self._request_ids)

    async def ask(self, request: Request, expected: type[ReplyT]) -> ReplyT:
        """Send a request and wait for its reply. Raises MediaRefusedError; ENGINE_LOST if no reply comes."""
        if self._writer is None:
            raise self._lost_error()
        replied: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            send(self._writer, request)
        except ValueError as error:
            raise MediaRefusedError(reason=RefusalReason.MALFORMED, detail=str(error)) from error
        self._pending[request.request_id] = (request, replied)
        try:
            async with asyncio.timeout(self._patience.request_seconds):
                reply = await replied
        except TimeoutError:
            _log.error(f"the {self._name} does not answer and is ended", engine=self.number)
            self._kill()
            raise self._lost_error() from None
        finally:
            self._pending.pop(request.request_id, None)
        if isinstance(reply, Refused):
            raise MediaRefusedError(reason=reply.reason, detail=reply.detail)
        if not isinstance(reply, expected):
            raise self._lost_error()
        return reply

    async def _keep(self, started: asyncio.Future[None]) -> None:
        """Start the process, and again whenever it ends, until `stop`."""
        clock = asyncio.get_running_loop().time
        delay = self._patience.first_delay_seconds
        while not self._stopping.is_set():
            born = clock()
            try:
                await self._live(started)
            except WorkerStartError as error:
                if not started.done():
                    started.set_exception(error)
                    return
                if self._stopping.is_set():
                    return
                _log.error(f"the {self._name} cannot start", engine=self.number, detail=str(error))
                self._not_started_again()
            if clock() - born > self._patience.settled_seconds:
                delay = self._patience.first_delay_seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, self._patience.max_delay_seconds)

    async def _live(self, started: asyncio.Future[None]) -> None:
        """One life of the process. Raises WorkerStartError if it did not come to run."""
        reader, writer = await self._spawn()
        watch = asyncio.create_task(self._watch())
        try:
            send(writer, self._run_command())
            self._runs(await self._first_report(reader))
            self._writer = writer
            if self._stopping.is_set():
                self.tell(Stop())
            if not started.done():
                started.set_result(None)
            while True:
                self._take(await self._receive(reader))
        except BrokenStreamError as error:
            if self._writer is None:
                raise WorkerStartError(f"the {self._name} ended before it ran") from error
        finally:
            watch.cancel()
            await self._bury(writer)

    async def _spawn(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Start a process at the other end of a socket pair. Raises WorkerStartError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                # -P: no module is taken from the working directory. A session of its own: Ctrl-C is for the parent.
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", self._module, str(theirs.fileno())),
                    pass_fds=(theirs.fileno(), *self._pass_fds),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            return await asyncio.open_unix_connection(sock=ours)
        except BaseException as error:
            ours.close()  # the end of a process that may have come to be
            if isinstance(error, OSError):
                raise WorkerStartError(f"the {self._name} cannot be started: {error}") from error
            raise

    async def _first_report(self, reader: asyncio.StreamReader) -> Report:
        """Wait until the process runs or says why not. Raises WorkerStartError, BrokenStreamError."""
        try:
            async with asyncio.timeout(self._patience.start_seconds):
                report = await self._receive(reader)
                while isinstance(report, Logged):
                    self._take(report)
                    report = await self._receive(reader)
        except TimeoutError:
            seconds = self._patience.start_seconds
            raise WorkerStartError(f"the {self._name} did not start in {seconds:.0f} s") from None
        if isinstance(report, NotRunning):
            raise WorkerStartError(self._why_not(report.detail))
        return report

    async def _bury(self, writer: asyncio.StreamWriter) -> None:
        """Leave nothing of a process: no descriptor, no zombie, no caller who waits for its reply."""
        lost = self._writer is not None and not self._stopping.is_set()
        self._writer = None
        writer.close()
        self._kill()
        code = await self._process.wait() if self._process is not None else None
        self._process = None
        unanswered = [request for request, _ in self._pending.values()]
        for _, replied in self._pending.values():
            if not replied.done():
                replied.set_exception(self._lost_error())
        self._pending.clear()
        if lost:
            self._lost(unanswered)
            _log.error(f"the {self._name} ended", engine=self.number, exit_code=code)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _watch(self) -> None:
        self._silent_turns = 0
        while self._writer is None or self._silent_turns < self._patience.silent_turns:
            await asyncio.sleep(self._patience.turn_seconds)
            self._silent_turns += 1
        _log.error(f"the {self._name} hangs and is ended", engine=self.number)
        self._kill()

    def _take(self, report: Report) -> None:
        self._silent_turns = 0
        match report:
            case FactReported():
                self._pass_on(report.fact)
            case Reply():
                _, replied = self._pending.pop(report.request_id, (None, None))
                if replied is not None and not replied.done():
                    replied.set_result(report)
            case Logged():
                extra = {"values": report.values}
                logging.getLogger(report.logger).log(report.level, "%s", report.text, extra=extra)

    def _pass_on(self, fact: MediaFact) -> None:
        try:
            self._hear(fact)
        except Exception:  # noqa: BLE001 - a fault met by one connection's fact must not end everybody's media
            _log.exception("a fact met a fault", engine=self.number)

    def _lost_error(self) -> MediaRefusedError:
        return MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail=f"the {self._name} is gone")
