"""The uplink process: publishes the media of encoders to LiveKit. `uplink_worker` starts it.

    python -m stagebook.media.livekit.uplink.uplink_process <file descriptor of the control socket>

The process exits when the server sends Stop or closes the socket.
"""

import contextlib
import os
import socket
import sys
import time
from random import SystemRandom

import httpx

from stagebook.media.livekit.livekit_http import livekit_client
from stagebook.media.livekit.uplink.packet_publisher import PacketPublisher
from stagebook.media.livekit.uplink.uplink_messages import (
    CloseUplinkFeedCommand,
    EndUplinkCommand,
    OpenUplinkFeedRequest,
    StartUplinks,
    UplinkCommand,
    UplinkFeedOpened,
    UplinkSettings,
    UplinksRunning,
    receive_command,
)
from stagebook.media.livekit.uplink.uplinked_sources import UplinkedSources
from stagebook.media.port import MediaRefusedError
from stagebook.media.worker.least_rights import KeptRights
from stagebook.media.worker.worker_main import ReportWriter, run_worker, worker_main
from stagebook.media.worker.worker_messages import RequestRefused

LATE_MODULES = (
    "cryptography.hazmat.backends.openssl.backend",
    "cryptography.hazmat.primitives.serialization",
    "httpcore._async.http11",
    "anyio._backends._asyncio",
)
"""Modules that cryptography and httpx import when they are first used (`worker_main`)."""
_TLS = httpx.create_ssl_context(trust_env=False)
"""Made while the process can still read the certificates of Python's packages."""
MAX_REQUESTS = 16
"""Requests to LiveKit at the same time: an uplink makes one when it begins and one when it ends."""


class _UplinkWork:
    """Carries out the server's commands (`worker_main.Worker`)."""

    def __init__(self, settings: UplinkSettings, reports: ReportWriter) -> None:
        self._reports = reports
        self._feed_directory = settings.feed_directory
        self._http = livekit_client(max_connections=MAX_REQUESTS, tls=_TLS)
        self._sources = UplinkedSources(
            settings,
            listener=reports,
            make_publisher=lambda token: PacketPublisher(self._http, url=settings.whip_url, token=token),
            clock=time.monotonic,
            wall_clock=time.time,
            randomness=SystemRandom(),
        )

    async def start(self) -> UplinksRunning:
        """Listen for feeds. Raises OSError."""
        await self._sources.start()
        return UplinksRunning()

    async def stop(self) -> None:
        """End all publishers."""
        await self._sources.stop()
        await self._http.aclose()
        # The server deletes the directory of the sockets, but not if it was killed.
        with contextlib.suppress(OSError):
            os.rmdir(self._feed_directory)  # noqa: PTH106 - one quick call at the end

    def handle(self, command: UplinkCommand) -> None:
        """Execute one command."""
        match command:
            case OpenUplinkFeedRequest():
                self._reports.send(self._open(command))
            case CloseUplinkFeedCommand():
                self._sources.close(command.connection_id)
            case EndUplinkCommand():
                self._sources.end_source(command.source_id)

    def _open(self, request: OpenUplinkFeedRequest) -> UplinkFeedOpened | RequestRefused:
        try:
            ticket = self._sources.open(
                connection_id=request.connection_id,
                source_id=request.source_id,
                is_redundant=request.is_redundant,
                token=request.token,
            )
        except MediaRefusedError as refused:
            return RequestRefused(request_id=request.request_id, reason=refused.reason, detail=refused.detail)
        return UplinkFeedOpened(request_id=request.request_id, ticket=ticket)


def _make_work(command: UplinkCommand, reports: ReportWriter) -> _UplinkWork | None:
    return _UplinkWork(command.settings, reports) if isinstance(command, StartUplinks) else None


async def serve(control_socket: socket.socket) -> int:
    """Run uplinks until Stop, or until the server closes the control socket. Returns the exit code."""
    return await run_worker(control_socket, receive_command, _make_work)


if __name__ == "__main__":
    # The names of hosts are resolved in threads, and those of PyAV encode nothing here.
    sys.exit(worker_main(serve, late_modules=LATE_MODULES, kept_rights=KeptRights(starts_threads=True)))
