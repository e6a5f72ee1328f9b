"""An ingest process: an RtmpServer that is controlled over a control socket. `ingest_worker` starts it.

    python -m stagebook.media.ingest.processes.ingest_process <file descriptor of the control socket>

The process exits when the server sends Stop or closes the socket.
"""

import asyncio
import socket
import sys
import time

from stagebook.media.ingest.encoder_session import EncoderPeer
from stagebook.media.ingest.load_meter import LoadMeter
from stagebook.media.ingest.processes.connection_handover import HandedConnection, HandoverReceiver
from stagebook.media.ingest.processes.ingest_messages import (
    AdmitRequest,
    CloseEncoderCommand,
    DropCommand,
    EncoderAdmitted,
    EncoderGone,
    IngestCommand,
    IngestRunning,
    LoadChanged,
    RefuseCommand,
    RelayCommand,
    RenewCertificate,
    StartIngest,
    receive_command,
)
from stagebook.media.ingest.rtmp_server import RtmpServer
from stagebook.media.port import MediaRefusedError
from stagebook.media.worker.worker_main import ReportWriter, run_worker, worker_main
from stagebook.media.worker.worker_messages import RequestRefused


class _ServedEncoders:
    """Carries out the server's commands with an RtmpServer (`worker_main.Worker`)."""

    def __init__(self, command: StartIngest, reports: ReportWriter) -> None:
        self._reports = reports
        clock = asyncio.get_running_loop().time
        self._server = RtmpServer(
            command.settings,
            certificate=command.certificate,
            on_fact=reports.send_fact,
            on_gone=self._on_gone,
            on_overload=lambda is_overloaded: reports.send(LoadChanged(is_overloaded=is_overloaded)),
            load=LoadMeter(clock=clock, cpu_clock=time.process_time),
            clock=clock,
        )
        far = socket.socket(fileno=command.handover_descriptor)
        self._handover = HandoverReceiver(far, on_connection=self._on_connection)

    async def start(self) -> IngestRunning:
        """Serve connections from now on. Raises OSError."""
        await self._server.start()
        self._handover.start()
        return IngestRunning()

    async def stop(self) -> None:
        """End all connections, notifying the encoders."""
        self._handover.stop()
        await self._server.stop()

    def handle(self, command: IngestCommand) -> None:
        """Carry out a command, and reply to it if it is a request."""
        match command:
            case AdmitRequest():
                self._reports.send(self._admit(command))
            case RefuseCommand():
                self._server.refuse(ask_id=command.ask_id, detail=command.detail)
            case DropCommand():
                self._server.drop(ask_id=command.ask_id)
            case RelayCommand():
                self._server.relay(command.target, ask_id=command.ask_id)
            case CloseEncoderCommand():
                self._server.close(connection_id=command.connection_id, detail=command.detail)
            case RenewCertificate():
                self._server.use_certificate(command.certificate)

    def _on_connection(self, handed: HandedConnection, accepted: socket.socket | None) -> None:
        if accepted is None:
            self._on_gone(handed.ask_id, was_shed=False)
        else:
            peer = EncoderPeer(address=handed.address, is_secure=handed.is_secure, is_relayed=handed.is_relayed)
            self._server.serve(accepted, ask_id=handed.ask_id, peer=peer)

    def _on_gone(self, ask_id: str, *, was_shed: bool) -> None:
        self._reports.send(EncoderGone(ask_id=ask_id, was_shed=was_shed))

    def _admit(self, request: AdmitRequest) -> EncoderAdmitted | RequestRefused:
        try:
            self._server.admit(ask_id=request.ask_id, connection_id=request.connection_id, ticket=request.ticket)
        except MediaRefusedError as refused:
            return RequestRefused(request_id=request.request_id, reason=refused.reason, detail=refused.detail)
        return EncoderAdmitted(request_id=request.request_id)


async def serve(control_socket: socket.socket) -> int:
    """Serve encoders until Stop, or until the server closes the control socket. Returns the exit code."""
    return await run_worker(control_socket, receive_command, _make_worker)


def _make_worker(command: IngestCommand, reports: ReportWriter) -> _ServedEncoders | None:
    return _ServedEncoders(command, reports) if isinstance(command, StartIngest) else None


if __name__ == "__main__":
    sys.exit(worker_main(serve, late_modules=("stagebook.media.ingest.pipeline.aac_to_opus",)))
