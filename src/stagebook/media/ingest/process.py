"""The ingest process: an IngestServer at the end of a control socket. Started by `engine`, ends with its parent.

python -m stagebook.media.ingest.process <file descriptor of the control socket>
"""

import asyncio
import secrets
import socket
import sys

from stagebook.media.child_process import Reporter, run_process, serve_parent
from stagebook.media.ingest import control
from stagebook.media.ingest.server import IngestServer
from stagebook.media.port import MediaRefusedError


class _Ingesting:
    """The process's work: a server, commanded by the parent."""

    def __init__(self, run: control.Run, reporter: Reporter) -> None:
        self._reporter = reporter
        self._server = IngestServer(
            run.settings,
            rtmp=_listener(run.rtmp_descriptor),
            rtmps=_listener(run.rtmps_descriptor),
            hear=reporter.hear,
            clock=asyncio.get_running_loop().time,
            new_id=lambda: secrets.token_hex(16),
        )
        self.stop = self._server.stop

    async def start(self) -> control.Running:
        """Begin to accept. Raises OSError."""
        await self._server.start()
        return control.Running()

    def obey(self, command: control.AnyCommand) -> None:
        """Carry out a command, and answer it if it is a request."""
        match command:
            case control.Admit():
                self._reporter.send(self._admit(command))
            case control.Refuse():
                self._server.refuse(ask_id=command.ask_id, detail=command.detail, is_wrong_key=command.is_wrong_key)
            case control.Close():
                self._server.close(connection_id=command.connection_id, detail=command.detail)

    def _admit(self, command: control.Admit) -> control.Admitted | control.Refused:
        try:
            self._server.admit(ask_id=command.ask_id, connection_id=command.connection_id, ticket=command.ticket)
        except MediaRefusedError as refused:
            return control.Refused(request_id=command.request_id, reason=refused.reason, detail=refused.detail)
        return control.Admitted(request_id=command.request_id)


def _listener(descriptor: int | None) -> socket.socket | None:
    return None if descriptor is None else socket.socket(fileno=descriptor)


async def serve(control_socket: socket.socket) -> int:
    """Serve encoders until Stop or until the parent is gone. Returns the exit code."""
    return await serve_parent(control_socket, control.receive_command, _make)


def _make(command: control.AnyCommand, reporter: Reporter) -> _Ingesting | None:
    return _Ingesting(command, reporter) if isinstance(command, control.Run) else None


if __name__ == "__main__":
    sys.exit(run_process(serve))
