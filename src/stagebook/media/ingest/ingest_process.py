"""The ingest process: an IngestServer at the end of a control socket. Started by `engine`, ends with its parent.

python -m stagebook.media.ingest.ingest_process <file descriptor of the control socket>
"""

import asyncio
import secrets
import socket
import sys

from stagebook.media.ingest import ingest_messages
from stagebook.media.ingest.rtmp_server import IngestServer
from stagebook.media.port import MediaRefusedError
from stagebook.media.worker.worker_main import ReportWriter, run_worker, worker_main


class _Ingesting:
    """The process's work: a server, commanded by the parent."""

    def __init__(self, run: ingest_messages.Run, reports: ReportWriter) -> None:
        self._reports = reports
        self._server = IngestServer(
            run.settings,
            rtmp=_listener(run.rtmp_descriptor),
            rtmps=_listener(run.rtmps_descriptor),
            hear=reports.send_fact,
            clock=asyncio.get_running_loop().time,
            new_id=lambda: secrets.token_hex(16),
        )
        self.stop = self._server.stop

    async def start(self) -> ingest_messages.Running:
        """Begin to accept. Raises OSError."""
        await self._server.start()
        return ingest_messages.Running()

    def handle(self, command: ingest_messages.AnyCommand) -> None:
        """Carry out a command, and answer it if it is a request."""
        match command:
            case ingest_messages.Admit():
                self._reports.send(self._admit(command))
            case ingest_messages.Refuse():
                self._server.refuse(ask_id=command.ask_id, detail=command.detail, is_wrong_key=command.is_wrong_key)
            case ingest_messages.Close():
                self._server.close(connection_id=command.connection_id, detail=command.detail)

    def _admit(self, command: ingest_messages.Admit) -> ingest_messages.Admitted | ingest_messages.RequestRefused:
        try:
            self._server.admit(ask_id=command.ask_id, connection_id=command.connection_id, ticket=command.ticket)
        except MediaRefusedError as refused:
            return ingest_messages.RequestRefused(
                request_id=command.request_id, reason=refused.reason, detail=refused.detail
            )
        return ingest_messages.Admitted(request_id=command.request_id)


def _listener(descriptor: int | None) -> socket.socket | None:
    return None if descriptor is None else socket.socket(fileno=descriptor)


async def serve(control_socket: socket.socket) -> int:
    """Serve encoders until Stop or until the parent is gone. Returns the exit code."""
    return await run_worker(control_socket, ingest_messages.receive_command, _make)


def _make(command: ingest_messages.AnyCommand, reports: ReportWriter) -> _Ingesting | None:
    return _Ingesting(command, reports) if isinstance(command, ingest_messages.Run) else None


if __name__ == "__main__":
    sys.exit(worker_main(serve))
