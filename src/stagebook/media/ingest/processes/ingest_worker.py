"""The server's end of one ingest process: hands connections to it, sends decisions to it and receives its facts."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from stagebook.media.ingest.encoder_relay import RelayTarget
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.connection_handover import HandedConnection, HandoverSender
from stagebook.media.ingest.processes.ingest_messages import (
    AdmitRequest,
    CloseEncoderCommand,
    DropCommand,
    EncoderAdmitted,
    EncoderGone,
    IngestRunning,
    LoadChanged,
    RefuseCommand,
    RelayCommand,
    RenewCertificate,
    StartIngest,
    receive_report,
)
from stagebook.media.ingest.tls_certificate import CertificateFiles, CertificatePair
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import CloseCause, Closed, IngestAsked, IngestFailed, MediaFact
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_messages import Report, Request
from stagebook.media.worker.worker_process import WorkerProcess
from stagebook.media.worker.worker_run import WorkerProgram, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

WILL_REFUSE: Final = 2
"""The rank of a process that refuses encoders."""
_RESTART_SECONDS: Final = 5.0
"""How long a new process may take to run until encoders that could wait for it are refused."""

_log = structlog.get_logger(__name__)


def placement_rank(*, connections: int, streams: int, max_streams: int, is_overloaded: bool) -> tuple[int, int]:
    """Return how suitable a process is for the next connection; a lower rank is better.

    0. A process with room for all connections that it has: the one with the fewest.
    1. A process with room for a stream, but more connections that may become one: the one with the fewest streams.
    2. A process that will refuse the encoder: the one with the fewest connections, because refusing costs time too.
    """
    if is_overloaded or streams >= max_streams:
        return WILL_REFUSE, connections
    return (1, streams) if connections >= max_streams else (0, connections)


class IngestWorker(WorkerProcess):
    """One ingest process, restarted when it exits. Its connections are then reported as Closed with ENGINE_LOST."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        number: int,
        addresses: str,
        certificate: CertificateFiles | None,
        user: ProcessUser | None,
        on_fact: Callable[[MediaFact], None],
        on_gone: Callable[[EncoderGone], None],
        timeouts: WorkerTimeouts,
    ) -> None:
        """`addresses` are those of the encoders' ports, for log lines and errors. `on_gone` is called once for each
        connection that was handed over, when it has ended or its process is lost."""
        self._handover = HandoverSender()
        self._settings = settings
        self._addresses = addresses
        self._certificate = certificate
        self._report_fact = on_fact
        self._report_gone = on_gone
        self._ask_ids: set[str] = set()
        """The open connections, whether admitted or not."""
        self._streams: set[str] = set()
        """The ids of the admitted connections, and of those whose admission is not replied to yet."""
        self._is_overloaded = False
        self._restarts_until = 0.0
        program = WorkerProgram(
            name="ingest process",
            number=number,
            module="stagebook.media.ingest.processes.ingest_process",
            receive=receive_report,
            pass_fds=(self._handover.descriptor,),
            user=user,
        )
        super().__init__(program, on_fact=self._handle_fact, timeouts=timeouts)

    @property
    def stream_count(self) -> int:
        """The number of admitted connections."""
        return len(self._streams)

    @property
    def connection_count(self) -> int:
        """The number of open connections, whether admitted or not."""
        return len(self._ask_ids)

    @property
    def is_overloaded(self) -> bool:
        """Whether the process has no time left (`load_meter`)."""
        return self._is_overloaded

    @property
    def rank(self) -> tuple[int, int, int]:
        """The process with the lowest rank gets the next connection."""
        place = placement_rank(
            connections=len(self._ask_ids),
            streams=len(self._streams),
            max_streams=self._settings.max_streams,
            is_overloaded=self._is_overloaded,
        )
        return (*place, self.number)

    @property
    def will_refuse(self) -> bool:
        """Whether the process would refuse one more encoder to shed load."""
        return self.rank[0] == WILL_REFUSE

    @property
    def is_restarting(self) -> bool:
        """Whether the process was lost a moment ago, and will soon have room."""
        return not self.is_running and asyncio.get_running_loop().time() < self._restarts_until

    def has(self, ask_id: str) -> bool:
        """Whether the process has this connection."""
        return ask_id in self._ask_ids

    def hand_over(self, connection: HandedConnection, accepted: socket.socket) -> bool:
        """Let the process serve an accepted connection. Returns False if it does not run or does not take any now."""
        if not self.is_running or not self._handover.send(connection, accepted):
            return False
        self._ask_ids.add(connection.ask_id)
        return True

    async def admit(self, *, ask_id: str, connection_id: str, ticket: FeedTicket) -> None:
        """Let the encoder that asked publish to the feed of `ticket`, as `connection_id`.

        Raises MediaRefusedError: UNKNOWN_CONNECTION if the encoder is gone, ENGINE_LOST without a reply.
        """
        # Before the request: the end of the connection may be reported together with the reply.
        self._streams.add(connection_id)
        request = AdmitRequest(
            request_id=self.next_request_id(), connection_id=connection_id, ask_id=ask_id, ticket=ticket
        )
        try:
            await self.request(request, EncoderAdmitted)
        except BaseException:
            # Refused, or the caller was cancelled. In the latter case the process may have admitted the encoder.
            self.close(connection_id=connection_id)
            raise

    def refuse(self, *, ask_id: str, detail: str) -> None:
        """Refuse the encoder that asked."""
        self.send(RefuseCommand(ask_id=ask_id, detail=detail))

    def drop(self, *, ask_id: str) -> None:
        """Close a connection at once, unless it was admitted."""
        self.send(DropCommand(ask_id=ask_id))

    def relay(self, target: RelayTarget, *, ask_id: str) -> None:
        """Let another node serve the encoder that asked."""
        self.send(RelayCommand(ask_id=ask_id, target=target))

    def close(self, *, connection_id: str, detail: str = "") -> None:
        """End an admitted connection. Ids of other processes' connections are ignored."""
        if connection_id in self._streams:
            self._streams.remove(connection_id)
            self.send(CloseEncoderCommand(connection_id=connection_id, detail=detail))

    def renew_certificate(self, renewed: CertificatePair) -> None:
        """Use another certificate for new connections of RTMPS."""
        self.send(RenewCertificate(certificate=renewed))

    async def stop(self) -> None:
        """As WorkerProcess.stop. The process cannot be started again."""
        await super().stop()
        self._handover.close()

    def _handle_fact(self, fact: MediaFact) -> None:
        """Pass a fact on. The end of a connection is dropped if `close` was called while the fact was on its way."""
        match fact:
            case IngestAsked():
                self._report_fact(fact)
            case Closed() | IngestFailed() if fact.connection_id in self._streams:
                self._streams.remove(fact.connection_id)
                self._report_fact(fact)

    def _on_report(self, report: Report) -> None:
        match report:
            case EncoderGone():
                self._ask_ids.discard(report.ask_id)
                self._report_gone(report)
            case LoadChanged():
                self._is_overloaded = report.is_overloaded

    def _start_command(self) -> StartIngest:
        certificate = None if self._certificate is None else self._certificate.pair()
        descriptor = self._handover.descriptor
        return StartIngest(settings=self._settings, certificate=certificate, handover_descriptor=descriptor)

    def _on_started(self, report: Report) -> None:
        if not isinstance(report, IngestRunning):
            raise WorkerStartError(self._start_failure(f"unexpected first report {type(report).__name__}"))
        _log.info("ingest process runs", engine=self.number, addresses=self._addresses, process_id=self.process_id)

    def _start_failure(self, detail: str) -> str:
        return f"cannot serve encoders ({self._addresses}): {detail}"

    def _on_lost(self, unanswered: Sequence[Request]) -> None:
        """Report Closed for the admitted connections of a lost process, and the end of all connections.

        Connections with a pending AdmitRequest are not reported as Closed: their `admit` raises. The reports are made
        in the next iteration of the event loop, after the callers of `admit` whose reply has just arrived.
        """
        loop = asyncio.get_running_loop()
        for connection_id in self._streams - {request.connection_id for request in unanswered}:
            loop.call_soon(self._report_fact, Closed(connection_id=connection_id, cause=CloseCause.ENGINE_LOST))
        self._streams.clear()
        self._handover.close_untaken()
        lost, self._ask_ids = self._ask_ids, set()
        for ask_id in lost:
            self._report_gone(EncoderGone(ask_id=ask_id, was_shed=False))
        self._is_overloaded = False
        self._restarts_until = loop.time() + _RESTART_SECONDS
