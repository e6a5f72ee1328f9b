"""The engine process: a Forwarder at the end of a control socket. Started by `engine`, ends with its parent.

    python -m stagebook.media.webrtc.process <file descriptor of the control socket>

It logs nothing itself: lines travel to the parent. Terminal and service signals go to the parent, which decides.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from random import Random, SystemRandom
from typing import Protocol

import structlog
import uvloop

from stagebook.media.port import Answer, MediaFact, MediaRefusedError, PatchAnswer, RefusalReason, SourceMeasured
from stagebook.media.webrtc import control
from stagebook.media.webrtc.forwarder import Forwarder
from stagebook.media.webrtc.settings import EngineSettings

_ALIVE_INTERVAL_SECONDS = 1.0
# What waits for a parent that does not read: beyond this, measurements and log lines are dropped, and nothing else.
_MAX_BACKLOG_BYTES = 1 << 20

_log = structlog.get_logger(__name__)


class RunsMedia(Protocol):
    """What the process needs of a Forwarder."""

    @property
    def udp_port(self) -> int: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer: ...
    def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer: ...
    def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer: ...
    def close(self, *, connection_id: str) -> None: ...
    def end_source(self, *, source_id: str) -> None: ...


class MakesForwarder(Protocol):
    """The signature of Forwarder's constructor."""

    def __call__(
        self,
        settings: EngineSettings,
        *,
        hear: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
    ) -> RunsMedia: ...


class Reporter:
    """The engine's end of the control socket, for writing."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, report: control.Report) -> None:
        """Queue a report."""
        control.send(self._writer, report)

    def hear(self, fact: MediaFact) -> None:
        """Pass a fact on; a measurement only while the parent keeps up."""
        if isinstance(fact, SourceMeasured) and self._behind():
            return
        self.send(control.Heard(fact=fact))

    def log(self, logger: str, level: int, text: str) -> None:
        """Pass a log line on while the parent keeps up."""
        if not self._behind():
            self.send(control.Logged(logger=logger, level=level, text=text))

    async def keep_telling(self) -> None:
        """Say that the event loop turns, for as long as it does."""
        while True:
            self.send(control.Alive())
            await asyncio.sleep(_ALIVE_INTERVAL_SECONDS)

    def _behind(self) -> bool:
        return self._writer.transport.get_write_buffer_size() > _MAX_BACKLOG_BYTES


async def serve(control_socket: socket.socket, make_forwarder: MakesForwarder) -> int:
    """Run one forwarder until Stop or until the parent is gone. Returns the exit code."""
    reader, writer = await asyncio.open_unix_connection(sock=control_socket)
    reporter = Reporter(writer)
    _log_to(reporter)
    try:
        run = await control.receive_command(reader)
        if not isinstance(run, control.Run):
            return 1
        forwarder = make_forwarder(
            run.settings, hear=reporter.hear, clock=time.monotonic, wall_clock=time.time, randomness=SystemRandom()
        )
        return await _forward(reader, reporter, forwarder)
    except control.ControlBrokenError:
        return 0
    finally:
        writer.close()


async def _forward(reader: asyncio.StreamReader, reporter: Reporter, forwarder: RunsMedia) -> int:
    try:
        await forwarder.start()
    except OSError as error:
        reporter.send(control.NotRunning(detail=error.strerror or str(error)))
        return 1
    gc.freeze()  # what lives as long as the process need not be looked at again and again
    reporter.send(control.Running(udp_port=forwarder.udp_port))
    telling = asyncio.create_task(reporter.keep_telling())
    try:
        while True:
            command = await control.receive_command(reader)
            if isinstance(command, control.Stop):
                return 0
            _obey(command, reporter, forwarder)
    finally:
        telling.cancel()
        await forwarder.stop()


def _obey(command: control.AnyCommand, reporter: Reporter, forwarder: RunsMedia) -> None:
    match command:
        case control.Close():
            forwarder.close(connection_id=command.connection_id)
        case control.EndSource():
            forwarder.end_source(source_id=command.source_id)
        case control.Publish() | control.Subscribe() | control.Patch():
            reporter.send(_reply(command, forwarder))


def _reply(request: control.Request, forwarder: RunsMedia) -> control.Reply:
    try:
        return _carry_out(request, forwarder)
    except MediaRefusedError as refused:
        return control.Refused(request_id=request.request_id, reason=refused.reason, detail=refused.detail)
    except Exception:  # noqa: BLE001 - a fault met by one peer's offer must not end everybody's media
        _log.exception("an offer or fragment met a fault", connection_id=request.connection_id)
        return control.Refused(
            request_id=request.request_id, reason=RefusalReason.ENGINE_LOST, detail="the media engine failed"
        )


def _carry_out(request: control.Request, forwarder: RunsMedia) -> control.Reply:
    number, connection_id = request.request_id, request.connection_id
    match request:
        case control.Publish():
            answer = forwarder.publish(connection_id=connection_id, source_id=request.source_id, offer=request.offer)
        case control.Subscribe():
            answer = forwarder.subscribe(connection_id=connection_id, source_id=request.source_id, offer=request.offer)
        case control.Patch():
            patched = forwarder.patch(
                connection_id=connection_id, fragment=request.fragment, ice_session=request.ice_session
            )
            return control.Patched(request_id=number, answer=patched)
    return control.Answered(request_id=number, answer=answer)


class _ReportingHandler(logging.Handler):
    """Hands each log record to the parent."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self._reporter.log(record.name, record.levelno, self.format(record))


def _log_to(reporter: Reporter) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_ReportingHandler(reporter)]
    root.setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def main() -> int:
    """The process's entry."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    control_socket = socket.socket(fileno=int(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(control_socket, Forwarder))


if __name__ == "__main__":
    sys.exit(main())
