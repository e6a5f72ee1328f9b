"""The engine process: a Forwarder at the end of a control socket. Started by `engine`, ends with its parent.

python -m stagebook.media.rtc.engine.engine_process <file descriptor of the control socket>

"""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from random import Random, SystemRandom
from typing import Protocol

import structlog

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import Answer, MediaFact, MediaRefusedError, PatchAnswer, RefusalReason
from stagebook.media.rtc.engine import engine_messages
from stagebook.media.rtc.engine.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.forwarder import Forwarder
from stagebook.media.worker.worker_main import ReportWriter, run_worker, worker_main

_log = structlog.get_logger(__name__)


class RunsMedia(Protocol):
    """What the process needs of a Forwarder."""

    @property
    def udp_port(self) -> int: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer: ...
    def subscribe(self, *, connection_id: str, source_id: str, offer: str) -> Answer: ...
    def feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket: ...
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


class _Forwarding:
    """The process's work: a forwarder, commanded by the parent."""

    def __init__(self, forwarder: RunsMedia, reports: ReportWriter, *, feed_directory: str) -> None:
        self._forwarder = forwarder
        self._reports = reports
        self._feed_directory = feed_directory

    async def start(self) -> engine_messages.Running:
        """Bind the sockets. Raises OSError."""
        await self._forwarder.start()
        return engine_messages.Running(udp_port=self._forwarder.udp_port)

    async def stop(self) -> None:
        """Say goodbye to all peers."""
        await self._forwarder.stop()
        if self._feed_directory:
            # The last engine takes the folder of feeds along, for a server that was killed cannot.
            with contextlib.suppress(OSError):
                os.rmdir(self._feed_directory)  # noqa: PTH106 - one quick call at the end

    def handle(self, command: engine_messages.AnyCommand) -> None:
        """Carry out a command, and answer it if it is a request."""
        match command:
            case engine_messages.Close():
                self._forwarder.close(connection_id=command.connection_id)
            case engine_messages.EndSource():
                self._forwarder.end_source(source_id=command.source_id)
            case (
                engine_messages.Publish()
                | engine_messages.Subscribe()
                | engine_messages.Patch()
                | engine_messages.Feed()
            ):
                self._reports.send(_reply(command, self._forwarder))


async def serve(control_socket: socket.socket, make_forwarder: MakesForwarder) -> int:
    """Run one forwarder until Stop or until the parent is gone. Returns the exit code."""
    return await run_worker(control_socket, engine_messages.receive_command, partial(_make, make_forwarder))


def _make(
    make_forwarder: MakesForwarder, command: engine_messages.AnyCommand, reports: ReportWriter
) -> _Forwarding | None:
    if not isinstance(command, engine_messages.Run):
        return None
    forwarder = make_forwarder(
        command.settings, hear=reports.send_fact, clock=time.monotonic, wall_clock=time.time, randomness=SystemRandom()
    )
    return _Forwarding(forwarder, reports, feed_directory=command.settings.feed_directory)


def _reply(request: engine_messages.AnyRequest, forwarder: RunsMedia) -> engine_messages.AnyReply:
    try:
        return _carry_out(request, forwarder)
    except MediaRefusedError as refused:
        return engine_messages.RequestRefused(
            request_id=request.request_id, reason=refused.reason, detail=refused.detail
        )
    except Exception:  # noqa: BLE001 - a fault met by one peer's offer must not end everybody's media
        _log.exception("an offer or fragment met a fault", connection_id=request.connection_id)
        return engine_messages.RequestRefused(
            request_id=request.request_id, reason=RefusalReason.ENGINE_LOST, detail="the media engine failed"
        )


def _carry_out(request: engine_messages.AnyRequest, forwarder: RunsMedia) -> engine_messages.AnyReply:
    number, connection_id = request.request_id, request.connection_id
    match request:
        case engine_messages.Publish():
            answer = forwarder.publish(connection_id=connection_id, source_id=request.source_id, offer=request.offer)
        case engine_messages.Subscribe():
            answer = forwarder.subscribe(connection_id=connection_id, source_id=request.source_id, offer=request.offer)
        case engine_messages.Patch():
            patched = forwarder.patch(
                connection_id=connection_id, fragment=request.fragment, ice_session=request.ice_session
            )
            return engine_messages.Patched(request_id=number, answer=patched)
        case engine_messages.Feed():
            ticket = forwarder.feed(
                connection_id=connection_id, source_id=request.source_id, is_redundant=request.is_redundant
            )
            return engine_messages.FeedOpened(request_id=number, ticket=ticket)
    return engine_messages.Answered(request_id=number, answer=answer)


if __name__ == "__main__":
    sys.exit(worker_main(lambda control_socket: serve(control_socket, Forwarder)))
