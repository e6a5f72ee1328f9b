"""The ingest process as the server sees it: encoders ask, are admitted or refused, and end.

The listening sockets stay the server's: the process inherits them, and if it ends, so does the next one. Knows no
source, and no forwarder but by the ticket it is given.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence

import structlog

from stagebook.media.ingest import ingest_messages
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import CloseCause, Closed, IngestAsked, IngestFailed, MediaFact
from stagebook.media.worker.worker_process import WorkerProcess, WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

_log = structlog.get_logger(__name__)


class IngestEngine(WorkerProcess):
    """Encoders on `rtmp` and `rtmps`, which are bound and listen. If the process is lost, its connections are told
    Closed with ENGINE_LOST, and a new process serves on the same sockets."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        rtmp: socket.socket | None,
        rtmps: socket.socket | None,
        timeouts: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - frozen
    ) -> None:
        """Raises ValueError for RTMPS without a certificate."""
        if rtmps is not None and not (settings.certificate_path and settings.private_key_path):
            raise ValueError("rtmps: needs certificate_path and private_key_path")
        self._settings = settings
        self._sockets = {"RTMP": rtmp, "RTMPS": rtmps}
        self._tell: Callable[[MediaFact], None] = lambda _fact: None
        self._connections: set[str] = set()
        super().__init__(
            name="ingest process",
            module="stagebook.media.ingest.ingest_process",
            receive=ingest_messages.receive_report,
            on_fact=self._take_fact,
            timeouts=timeouts,
            pass_fds=[listener.fileno() for listener in (rtmp, rtmps) if listener is not None],
        )

    def listen(self, hear: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._tell = hear

    def describe(self) -> str:
        """Where encoders are taken in, for a person: `RTMP on 127.0.0.1:1935, RTMPS on [::1]:443`."""
        bound = ((name, listener) for name, listener in self._sockets.items() if listener is not None)
        return ", ".join(f"{name} on {_address(listener)}" for name, listener in bound)

    async def admit(self, *, ask_id: str, connection_id: str, ticket: FeedTicket) -> None:
        """Let the encoder that asked publish, as `connection_id`, into the feed of `ticket`. Raises MediaRefusedError
        (UNKNOWN_CONNECTION: it is gone; ENGINE_LOST)."""
        self._connections.add(connection_id)
        request = ingest_messages.Admit(
            request_id=self.next_request_id(), connection_id=connection_id, ask_id=ask_id, ticket=ticket
        )
        try:
            await self.request(request, ingest_messages.Admitted)
        except BaseException:
            # Refused, or nobody waits for it any more: nothing of it stays.
            self.close(connection_id=connection_id)
            raise

    def refuse(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """As MediaEngine.refuse_ingest."""
        self.send(ingest_messages.Refuse(ask_id=ask_id, detail=detail, is_wrong_key=is_wrong_key))

    def close(self, *, connection_id: str, detail: str = "") -> None:
        """As MediaEngine.close."""
        if connection_id in self._connections:
            self._connections.remove(connection_id)
            self.send(ingest_messages.Close(connection_id=connection_id, detail=detail))

    def _take_fact(self, fact: MediaFact) -> None:
        """Pass a fact on, unless its connection was ended while the fact was on its way."""
        match fact:
            case IngestAsked():
                self._tell(fact)
            case Closed() | IngestFailed() if fact.connection_id in self._connections:
                self._connections.remove(fact.connection_id)
                self._tell(fact)

    def _start_command(self) -> ingest_messages.Run:
        rtmp, rtmps = (None if listener is None else listener.fileno() for listener in self._sockets.values())
        return ingest_messages.Run(settings=self._settings, rtmp_descriptor=rtmp, rtmps_descriptor=rtmps)

    def _on_started(self, report: ingest_messages.Report) -> None:
        if not isinstance(report, ingest_messages.Running):
            raise WorkerStartError(self._start_failure("it said something else first"))
        _log.info("ingest process runs", where=self.describe(), process_id=self.process_id)

    def _start_failure(self, detail: str) -> str:
        return f"encoders cannot be served ({self.describe()}): {detail}"

    def _on_restart_failed(self) -> None:
        """Nothing is to be given up: the sockets are the server's."""

    def _on_lost(self, unanswered: Sequence[ingest_messages.Request]) -> None:
        """Tell Closed for what the process held. Whoever still waits for an admission is refused instead, and whoever
        has just got one goes on first."""
        loop = asyncio.get_running_loop()
        for connection_id in self._connections - {request.connection_id for request in unanswered}:
            loop.call_soon(self._tell, Closed(connection_id=connection_id, cause=CloseCause.ENGINE_LOST))
        self._connections.clear()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
