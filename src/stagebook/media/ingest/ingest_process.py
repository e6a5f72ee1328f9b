"""The ingest process: an RtmpServer that is controlled over a control socket. `ingest_engine` starts it.

    python -m stagebook.media.ingest.ingest_process <file descriptor of the control socket>

The process exits when the server sends Stop or closes the socket.
"""

import asyncio
import secrets
import socket
import sys

from stagebook.media.ingest.ingest_messages import (
    AdmitRequest,
    CloseEncoderCommand,
    EncoderAdmitted,
    IngestCommand,
    IngestRunning,
    RefuseCommand,
    RenewCertificate,
    StartIngest,
    receive_command,
)
from stagebook.media.ingest.rtmp_server import RtmpServer
from stagebook.media.port import MediaRefusedError
from stagebook.media.worker.worker_main import ReportWriter, run_worker, worker_main
from stagebook.media.worker.worker_messages import RequestRefused


class _IngestWorker:
    """Carries out the server's commands with an RtmpServer (`worker_main.Worker`)."""

    def __init__(self, command: StartIngest, reports: ReportWriter) -> None:
        self._reports = reports
        self._server = RtmpServer(
            command.settings,
            rtmp=_listener(command.rtmp_descriptor),
            rtmps=_listener(command.rtmps_descriptor),
            certificate=command.certificate,
            on_fact=reports.send_fact,
            clock=asyncio.get_running_loop().time,
            new_id=lambda: secrets.token_hex(16),
        )
        self.stop = self._server.stop

    async def start(self) -> IngestRunning:
        """Accept connections. Raises OSError."""
        await self._server.start()
        return IngestRunning()

    def handle(self, command: IngestCommand) -> None:
        """Carry out a command, and reply to it if it is a request."""
        match command:
            case AdmitRequest():
                self._reports.send(self._admit(command))
            case RefuseCommand():
                self._server.refuse(ask_id=command.ask_id, detail=command.detail, is_wrong_key=command.is_wrong_key)
            case CloseEncoderCommand():
                self._server.close(connection_id=command.connection_id, detail=command.detail)
            case RenewCertificate():
                self._server.use_certificate(command.certificate)

    def _admit(self, request: AdmitRequest) -> EncoderAdmitted | RequestRefused:
        try:
            self._server.admit(ask_id=request.ask_id, connection_id=request.connection_id, ticket=request.ticket)
        except MediaRefusedError as refused:
            return RequestRefused(request_id=request.request_id, reason=refused.reason, detail=refused.detail)
        return EncoderAdmitted(request_id=request.request_id)


def _listener(descriptor: int | None) -> socket.socket | None:
    return None if descriptor is None else socket.socket(fileno=descriptor)


async def serve(control_socket: socket.socket) -> int:
    """Serve encoders until Stop, or until the server closes the control socket. Returns the exit code."""
    return await run_worker(control_socket, receive_command, _make_worker)


def _make_worker(command: IngestCommand, reports: ReportWriter) -> _IngestWorker | None:
    return _IngestWorker(command, reports) if isinstance(command, StartIngest) else None


if __name__ == "__main__":
    sys.exit(worker_main(serve, late_modules=("stagebook.media.ingest.pipeline.aac_to_opus",)))
