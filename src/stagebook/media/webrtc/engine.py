"""One engine process, kept alive: started, spoken to, watched, and started again when it ends.

Knows requests and their replies; which source belongs here is `pool`'s to know.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from itertools import count

import msgspec
import structlog

from stagebook.media.port import Answer, MediaFact, MediaRefusedError, PatchAnswer, RefusalReason
from stagebook.media.webrtc import control
from stagebook.media.webrtc.settings import EngineSettings

_PROCESS_MODULE = "stagebook.media.webrtc.process"

_log = structlog.get_logger(__name__)


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long an engine is waited for, in seconds."""

    start_seconds: float = 30.0
    stop_seconds: float = 5.0
    request_seconds: float = 10.0
    turn_seconds: float = 1.0
    silent_turns: int = 10
    """An engine that says nothing for so many turns hangs. Turns are counted and not the clock, so that a server that
    was itself held up does not blame its engines."""
    first_delay_seconds: float = 0.1
    max_delay_seconds: float = 5.0
    """Between two starts; doubled each time."""
    settled_seconds: float = 10.0
    """A process that lived this long was no failed start: the delay begins anew."""


class EnginesRefusedError(Exception):
    """An engine cannot start at all; the text says what to change."""


class Engine:
    """One engine. `hear` is told its facts; `lost` is called after its process ended unasked, with the ids of the
    connections whose offers were still unanswered."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        number: int,
        hear: Callable[[MediaFact], None],
        lost: Callable[["Engine", frozenset[str]], None],
        patience: Patience,
    ) -> None:
        self.number = number
        self.udp_port = settings.udp_port
        self._settings = settings
        self._patience = patience
        self._hear = hear
        self._lost = lost
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._pending: dict[int, tuple[control.Request, asyncio.Future[control.Reply]]] = {}
        self._request_ids = count(1)
        self._silent_turns = 0
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether commands reach a process now."""
        return self._writer is not None

    @property
    def process_id(self) -> int | None:
        """The process's id while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process and wait until its sockets are bound. Raises EnginesRefusedError."""
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
            self.tell(control.Stop())
        else:
            # It is being started or buried; neither is worth waiting for, and what was lost is still told.
            self._kill()
        await asyncio.wait([self._keeper], timeout=self._patience.stop_seconds)
        if not self._keeper.done():
            self._kill()
            await asyncio.wait([self._keeper])

    def tell(self, command: control.Command) -> None:
        """Send a command that is not replied to. Without a process there is nobody to tell, which is fine."""
        if self._writer is not None:
            control.send(self._writer, command)

    def request_id(self) -> int:
        """A fresh id for a request."""
        return next(self._request_ids)

    async def open(self, request: control.Publish | control.Subscribe) -> Answer:
        """Send an offer and wait for its answer. Raises MediaRefusedError; ENGINE_LOST if no reply comes."""
        reply = await self._ask(request)
        if not isinstance(reply, control.Answered):
            raise _lost_error()
        return reply.answer

    async def patch(self, request: control.Patch) -> PatchAnswer:
        """Send a fragment and wait for its answer. Raises as `open`."""
        reply = await self._ask(request)
        if not isinstance(reply, control.Patched):
            raise _lost_error()
        return reply.answer

    async def _ask(self, request: control.Request) -> control.Reply:
        if self._writer is None:
            raise _lost_error()
        reply: asyncio.Future[control.Reply] = asyncio.get_running_loop().create_future()
        try:
            control.send(self._writer, request)
        except ValueError as error:
            raise MediaRefusedError(reason=RefusalReason.MALFORMED, detail=str(error)) from error
        self._pending[request.request_id] = (request, reply)
        try:
            async with asyncio.timeout(self._patience.request_seconds):
                answer = await reply
        except TimeoutError:
            _log.error("a media engine does not answer and is ended", engine=self.number)
            self._kill()
            raise _lost_error() from None
        finally:
            self._pending.pop(request.request_id, None)
        if isinstance(answer, control.Refused):
            raise MediaRefusedError(reason=answer.reason, detail=answer.detail)
        return answer

    async def _keep(self, started: asyncio.Future[None]) -> None:
        """Start the process, and again whenever it ends, until `stop`."""
        clock = asyncio.get_running_loop().time
        delay = self._patience.first_delay_seconds
        while not self._stopping.is_set():
            born = clock()
            try:
                await self._live(started)
            except EnginesRefusedError as error:
                if not started.done():
                    started.set_exception(error)
                    return
                if self._stopping.is_set():
                    return
                _log.error("a media engine cannot start", engine=self.number, detail=str(error))
                # The number that the system chose may be another's by now; one that was configured stays.
                self.udp_port = self._settings.udp_port
            if clock() - born > self._patience.settled_seconds:
                delay = self._patience.first_delay_seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, self._patience.max_delay_seconds)

    async def _live(self, started: asyncio.Future[None]) -> None:
        """One life of the process. Raises EnginesRefusedError if it did not come to run."""
        reader, writer = await self._spawn()
        watch = asyncio.create_task(self._watch())
        try:
            control.send(writer, control.Run(settings=msgspec.structs.replace(self._settings, udp_port=self.udp_port)))
            self.udp_port = await self._first_port(reader)
            self._writer = writer
            if self._stopping.is_set():
                self.tell(control.Stop())
            if not started.done():
                started.set_result(None)
            _log.info("media engine runs", engine=self.number, udp_port=self.udp_port, process_id=self.process_id)
            while True:
                self._take(await control.receive_report(reader))
        except control.ControlBrokenError as error:
            if self._writer is None:
                raise EnginesRefusedError("a media engine process ended before it ran") from error
        finally:
            watch.cancel()
            await self._bury(writer)

    async def _spawn(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Start a process at the other end of a socket pair. Raises EnginesRefusedError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                # -P: no module is taken from the working directory. A session of its own: Ctrl-C is for the parent.
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", _PROCESS_MODULE, str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            return await asyncio.open_unix_connection(sock=ours)
        except BaseException as error:
            ours.close()  # the end of a process that may have come to be
            if isinstance(error, OSError):
                raise EnginesRefusedError(f"no media engine process can be started: {error}") from error
            raise

    async def _first_port(self, reader: asyncio.StreamReader) -> int:
        """Wait for Running. Raises EnginesRefusedError, ControlBrokenError."""
        try:
            async with asyncio.timeout(self._patience.start_seconds):
                report = await control.receive_report(reader)
                while isinstance(report, control.Logged):
                    self._take(report)
                    report = await control.receive_report(reader)
        except TimeoutError:
            raise EnginesRefusedError(f"a media engine did not start in {self._patience.start_seconds:.0f} s") from None
        if isinstance(report, control.Running):
            return report.udp_port
        detail = report.detail if isinstance(report, control.NotRunning) else "it said something else first"
        where = ", ".join(self._settings.bind_addresses)
        raise EnginesRefusedError(f"media cannot be received on {where} UDP port {self.udp_port}: {detail}")

    async def _bury(self, writer: asyncio.StreamWriter) -> None:
        """Leave nothing of a process: no descriptor, no zombie, no caller who waits for its reply."""
        lost = self._writer is not None and not self._stopping.is_set()
        self._writer = None
        writer.close()
        self._kill()
        code = await self._process.wait() if self._process is not None else None
        self._process = None
        unanswered = frozenset(
            request.connection_id for request, _ in self._pending.values() if not isinstance(request, control.Patch)
        )
        for _, reply in self._pending.values():
            if not reply.done():
                reply.set_exception(_lost_error())
        self._pending.clear()
        if lost:
            self._lost(self, unanswered)
            _log.error("a media engine ended", engine=self.number, exit_code=code)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _watch(self) -> None:
        self._silent_turns = 0
        while self._writer is None or self._silent_turns < self._patience.silent_turns:
            await asyncio.sleep(self._patience.turn_seconds)
            self._silent_turns += 1
        _log.error("a media engine hangs and is ended", engine=self.number)
        self._kill()

    def _take(self, report: control.AnyReport) -> None:
        self._silent_turns = 0
        match report:
            case control.Heard():
                self._hear(report.fact)
            case control.Answered() | control.Patched() | control.Refused():
                _, reply = self._pending.pop(report.request_id, (None, None))
                if reply is not None and not reply.done():
                    reply.set_result(report)
            case control.Logged():
                logging.getLogger(report.logger).log(report.level, "%s", report.text)


def _lost_error() -> MediaRefusedError:
    return MediaRefusedError(reason=RefusalReason.ENGINE_LOST, detail="the media engine is gone")
