"""The server's handle of the ingest process: starts it, sends decisions to it and receives its facts.

The server owns the listening sockets, and each run of the process inherits them. Encoders that connect while the
process restarts wait in the sockets' accept queues instead of being refused.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence

import structlog

from stagebook.media.ingest.ingest_messages import (
    AdmitRequest,
    CloseEncoderCommand,
    EncoderAdmitted,
    IngestRunning,
    RefuseCommand,
    RenewCertificate,
    StartIngest,
    receive_report,
)
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.tls_certificate import CertificateFiles
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import CloseCause, Closed, IngestAsked, IngestFailed, MediaFact
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_messages import Report, Request
from stagebook.media.worker.worker_process import WorkerProcess
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

RENEWAL_INTERVAL_SECONDS = 60.0
"""How often the files of the certificate are checked."""

_log = structlog.get_logger(__name__)


class IngestEngine(WorkerProcess):
    """The ingest process, restarted when it exits. Its connections are then reported as Closed with ENGINE_LOST."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        rtmp: socket.socket | None,
        rtmps: socket.socket | None,
        certificate: CertificateFiles | None = None,
        user: ProcessUser | None = None,
        timeouts: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - frozen
    ) -> None:
        """`rtmp` and `rtmps` are listening sockets. The process runs as `user`, or as this process's user.

        Raises ValueError for RTMPS without a certificate.
        """
        if rtmps is not None and certificate is None:
            raise ValueError("rtmps: needs a certificate")
        self._settings = settings
        self._listeners = {"RTMP": rtmp, "RTMPS": rtmps}
        self._certificate = certificate
        self._renewal: asyncio.Task[None] | None = None
        self._listener: Callable[[MediaFact], None] = lambda _fact: None
        self._connections: set[str] = set()
        """The ids of the admitted connections, and of those whose admission is not replied to yet."""
        super().__init__(
            name="ingest process",
            module="stagebook.media.ingest.ingest_process",
            receive=receive_report,
            on_fact=self._handle_fact,
            timeouts=timeouts,
            user=user,
            pass_fds=[listener.fileno() for listener in (rtmp, rtmps) if listener is not None],
        )

    async def start(self) -> None:
        """As WorkerProcess.start; also for a certificate that cannot be used, it raises WorkerStartError."""
        if self._certificate is not None:
            try:
                self._certificate.pair()
            except OSError as error:
                raise WorkerStartError(self._start_failure(str(error))) from error
        await super().start()
        if self._certificate is not None:
            self._renewal = asyncio.create_task(self._renew_regularly())

    async def stop(self) -> None:
        """As WorkerProcess.stop."""
        if self._renewal is not None:
            self._renewal.cancel()
        await super().stop()

    def renew_certificate(self) -> None:
        """Send the certificate to the process if its files have changed and can be used."""
        renewed = None if self._certificate is None else self._certificate.renewed()
        if renewed is not None:
            self.send(RenewCertificate(certificate=renewed))

    async def _renew_regularly(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_INTERVAL_SECONDS)
            self.renew_certificate()

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._listener = on_fact

    def describe(self) -> str:
        """Return the addresses for log lines and error messages: `RTMP on 127.0.0.1:1935, RTMPS on [::1]:443`."""
        bound = ((name, listener) for name, listener in self._listeners.items() if listener is not None)
        return ", ".join(f"{name} on {_address(listener)}" for name, listener in bound)

    async def admit(self, *, ask_id: str, connection_id: str, ticket: FeedTicket) -> None:
        """Let the encoder that asked publish to the feed of `ticket`, as `connection_id`.

        Raises MediaRefusedError: UNKNOWN_CONNECTION if the encoder is gone, ENGINE_LOST without a reply.
        """
        # Before the request: the end of the connection may be reported together with the reply.
        self._connections.add(connection_id)
        request = AdmitRequest(
            request_id=self.next_request_id(), connection_id=connection_id, ask_id=ask_id, ticket=ticket
        )
        try:
            await self.request(request, EncoderAdmitted)
        except BaseException:
            # Refused, or the caller was cancelled. In the latter case the process may have admitted the encoder.
            self.close(connection_id=connection_id)
            raise

    def refuse(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """As MediaEngine.refuse_ingest."""
        self.send(RefuseCommand(ask_id=ask_id, detail=detail, is_wrong_key=is_wrong_key))

    def close(self, *, connection_id: str, detail: str = "") -> None:
        """As MediaEngine.close."""
        if connection_id in self._connections:
            self._connections.remove(connection_id)
            self.send(CloseEncoderCommand(connection_id=connection_id, detail=detail))

    def _handle_fact(self, fact: MediaFact) -> None:
        """Pass a fact on. The end of a connection is dropped if `close` was called while the fact was on its way."""
        match fact:
            case IngestAsked():
                self._listener(fact)
            case Closed() | IngestFailed() if fact.connection_id in self._connections:
                self._connections.remove(fact.connection_id)
                self._listener(fact)

    def _start_command(self) -> StartIngest:
        rtmp, rtmps = (None if listener is None else listener.fileno() for listener in self._listeners.values())
        certificate = None if self._certificate is None else self._certificate.pair()
        return StartIngest(
            settings=self._settings, certificate=certificate, rtmp_descriptor=rtmp, rtmps_descriptor=rtmps
        )

    def _on_started(self, report: Report) -> None:
        if not isinstance(report, IngestRunning):
            raise WorkerStartError(self._start_failure(f"unexpected first report {type(report).__name__}"))
        _log.info("ingest process runs", addresses=self.describe(), process_id=self.process_id)

    def _start_failure(self, detail: str) -> str:
        return f"cannot serve encoders ({self.describe()}): {detail}"

    def _on_lost(self, unanswered: Sequence[Request]) -> None:
        """Report Closed for the admitted connections of a lost process.

        Connections with a pending AdmitRequest are left out: their `admit` raises. The reports are made in the next
        iteration of the event loop, after the callers of `admit` whose reply has just arrived.
        """
        loop = asyncio.get_running_loop()
        for connection_id in self._connections - {request.connection_id for request in unanswered}:
            loop.call_soon(self._listener, Closed(connection_id=connection_id, cause=CloseCause.ENGINE_LOST))
        self._connections.clear()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
