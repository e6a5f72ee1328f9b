"""The engine process: a Forwarder that is controlled over a control socket. `engine_worker` starts it.

    python -m stagebook.media.rtc.engine.engine_process <file descriptor of the control socket>

The process exits when the server sends Stop or closes the socket.
"""

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from random import Random, SystemRandom
from typing import Protocol

from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import Answer, InitialLayer, MediaFact, MediaRefusedError, PatchAnswer, VideoLayers
from stagebook.media.rtc.engine.engine_messages import (
    CloseCommand,
    EndSourceCommand,
    EngineCommand,
    EngineReply,
    EngineRequest,
    EngineRunning,
    FeedOpened,
    FragmentAnswered,
    LayerSelected,
    LayersListed,
    LayersRequest,
    OfferAnswered,
    OpenFeedRequest,
    PatchRequest,
    PublishRequest,
    SelectLayerRequest,
    StartEngine,
    StatisticsReported,
    SubscribeRequest,
    receive_command,
)
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.engine_statistics import EngineStatistics
from stagebook.media.rtc.sfu.forwarder import Forwarder
from stagebook.media.worker.worker_main import ReportWriter, run_worker, worker_main
from stagebook.media.worker.worker_messages import RequestRefused

STATISTICS_INTERVAL_SECONDS = 2.0
"""A report has some hundred bytes. Prometheus reads the server every 15 s or so."""


class ForwarderLike(Protocol):
    """The methods of Forwarder that the process calls. Tests substitute their own."""

    @property
    def udp_port(self) -> int: ...
    def statistics(self, *, cpu_seconds: float) -> EngineStatistics: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def publish(self, *, connection_id: str, source_id: str, offer: str) -> Answer: ...
    def subscribe(
        self, *, connection_id: str, source_id: str, offer: str, initial_layer: InitialLayer | None
    ) -> Answer: ...
    def open_feed(self, *, connection_id: str, source_id: str, is_redundant: bool) -> FeedTicket: ...
    def patch(self, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer: ...
    def layers(self, *, connection_id: str) -> VideoLayers: ...
    def select_layer(self, *, connection_id: str, encoding_id: str | None) -> None: ...
    def close(self, *, connection_id: str, as_failure: bool) -> None: ...
    def end_source(self, *, source_id: str) -> None: ...


class ForwarderFactory(Protocol):
    """The signature of Forwarder's constructor."""

    def __call__(
        self,
        settings: EngineSettings,
        *,
        on_fact: Callable[[MediaFact], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        randomness: Random,
    ) -> ForwarderLike: ...


class _EngineWork:
    """Carries out the server's commands with a forwarder (`worker_main.Work`)."""

    def __init__(self, forwarder: ForwarderLike, reports: ReportWriter, *, feed_directory: str) -> None:
        self._forwarder = forwarder
        self._reports = reports
        self._feed_directory = feed_directory
        self._statistics: asyncio.Task[None] | None = None

    async def start(self) -> EngineRunning:
        """Bind the sockets, and report statistics from now on. Raises OSError."""
        await self._forwarder.start()
        self._statistics = asyncio.create_task(self._report_statistics())
        return EngineRunning(udp_port=self._forwarder.udp_port)

    async def stop(self) -> None:
        """Close all connections."""
        if self._statistics is not None:
            self._statistics.cancel()
        await self._forwarder.stop()
        if self._feed_directory:
            # The server deletes the directory of the media bus sockets, but not if it was killed. The last engine then
            # finds the directory empty and deletes it.
            with contextlib.suppress(OSError):
                os.rmdir(self._feed_directory)  # noqa: PTH106 - one quick call at the end

    async def _report_statistics(self) -> None:
        while True:
            await asyncio.sleep(STATISTICS_INTERVAL_SECONDS)
            statistics = self._forwarder.statistics(cpu_seconds=time.process_time())
            self._reports.send_measurement(StatisticsReported(statistics=statistics))

    def handle(self, command: EngineCommand) -> None:
        """Carry out a command, and reply to it if it is a request.

        Nothing is awaited: a request runs to its end before the next one, and media waits for that long. Exceptions
        other than refusals are the caller's (`worker_main`).
        """
        match command:
            case CloseCommand():
                self._forwarder.close(connection_id=command.connection_id, as_failure=command.as_failure)
            case EndSourceCommand():
                self._forwarder.end_source(source_id=command.source_id)
            case (
                PublishRequest()
                | SubscribeRequest()
                | PatchRequest()
                | LayersRequest()
                | SelectLayerRequest()
                | OpenFeedRequest()
            ):
                self._reports.send(self._reply(command))

    def _reply(self, request: EngineRequest) -> EngineReply:
        try:
            return self._carry_out(request)
        except MediaRefusedError as refused:
            return RequestRefused(request_id=request.request_id, reason=refused.reason, detail=refused.detail)

    def _carry_out(self, request: EngineRequest) -> EngineReply:
        forwarder, request_id, connection_id = self._forwarder, request.request_id, request.connection_id
        match request:
            case PublishRequest(source_id=source_id, offer=offer):
                answer = forwarder.publish(connection_id=connection_id, source_id=source_id, offer=offer)
                return OfferAnswered(request_id=request_id, answer=answer)
            case SubscribeRequest(source_id=source_id, offer=offer, initial_layer=initial_layer):
                answer = forwarder.subscribe(
                    connection_id=connection_id, source_id=source_id, offer=offer, initial_layer=initial_layer
                )
                return OfferAnswered(request_id=request_id, answer=answer)
            case PatchRequest(fragment=fragment, ice_session=ice_session):
                patched = forwarder.patch(connection_id=connection_id, fragment=fragment, ice_session=ice_session)
                return FragmentAnswered(request_id=request_id, answer=patched)
            case LayersRequest():
                return LayersListed(request_id=request_id, layers=forwarder.layers(connection_id=connection_id))
            case SelectLayerRequest(encoding_id=encoding_id):
                forwarder.select_layer(connection_id=connection_id, encoding_id=encoding_id)
                return LayerSelected(request_id=request_id)
            case OpenFeedRequest(source_id=source_id, is_redundant=is_redundant):
                ticket = forwarder.open_feed(
                    connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
                )
                return FeedOpened(request_id=request_id, ticket=ticket)


async def serve(control_socket: socket.socket, make_forwarder: ForwarderFactory) -> int:
    """Run one forwarder until Stop, or until the server closes the control socket. Returns the exit code."""
    return await run_worker(control_socket, receive_command, partial(_make_work, make_forwarder))


def _make_work(make_forwarder: ForwarderFactory, command: EngineCommand, reports: ReportWriter) -> _EngineWork | None:
    if not isinstance(command, StartEngine):
        return None
    forwarder = make_forwarder(
        command.settings,
        on_fact=reports.send_fact,
        clock=time.monotonic,
        wall_clock=time.time,
        randomness=SystemRandom(),
    )
    return _EngineWork(forwarder, reports, feed_directory=command.settings.feed_directory)


if __name__ == "__main__":
    sys.exit(worker_main(lambda control_socket: serve(control_socket, Forwarder)))
