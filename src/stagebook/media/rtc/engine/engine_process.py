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
from collections.abc import Callable, Sequence
from functools import partial
from random import Random, SystemRandom
from typing import Protocol

from stagebook.media.connection_statistics import ConnectionStatistics
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import (
    Answer,
    InitialLayer,
    LayerChoice,
    MediaFact,
    MediaRefusedError,
    PatchAnswer,
    VideoLayers,
)
from stagebook.media.rtc.engine.engine_messages import (
    AcceptRelayRequest,
    CloseCommand,
    ConnectionsMeasured,
    DescribeSourceRequest,
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
    SourceDescribed,
    StartEngine,
    StartRelayCommand,
    StatisticsReported,
    StatisticsRequest,
    SubscribeRequest,
    TcpDescriptors,
    receive_command,
)
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.sfu.forwarder import Forwarder
from stagebook.media.rtc.sfu.relay.relay_messages import SourceDescription
from stagebook.media.rtc.sfu.statistics.engine_statistics import EngineStatistics
from stagebook.media.rtc.transport.tcp_connections import TcpSockets
from stagebook.media.rtc.transport.tcp_handover import TcpHandover
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
    def connection_statistics(self, connection_ids: Sequence[str]) -> tuple[ConnectionStatistics, ...]: ...
    def describe_source(self, *, source_id: str, feed_id: str | None) -> SourceDescription: ...
    def accept_relay(self, *, source_id: str, description: SourceDescription) -> FeedTicket: ...
    def start_relay(self, *, source_id: str, ticket: FeedTicket, is_tap: bool, feed_id: str | None) -> None: ...
    def layers(self, *, connection_id: str) -> VideoLayers: ...
    def select_layer(self, *, connection_id: str, choice: LayerChoice) -> None: ...
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
        tcp: TcpSockets | None,
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
            case StartRelayCommand(source_id=source_id, ticket=ticket, is_tap=is_tap, feed_id=feed_id):
                self._forwarder.start_relay(source_id=source_id, ticket=ticket, is_tap=is_tap, feed_id=feed_id)
            case EndSourceCommand():
                self._forwarder.end_source(source_id=command.source_id)
            case (
                PublishRequest()
                | SubscribeRequest()
                | PatchRequest()
                | LayersRequest()
                | SelectLayerRequest()
                | StatisticsRequest()
                | OpenFeedRequest()
                | DescribeSourceRequest()
                | AcceptRelayRequest()
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
            case SelectLayerRequest(choice=choice):
                forwarder.select_layer(connection_id=connection_id, choice=choice)
                return LayerSelected(request_id=request_id)
            case StatisticsRequest(connection_ids=connection_ids):
                measured = forwarder.connection_statistics(connection_ids)
                return ConnectionsMeasured(request_id=request_id, connections=measured)
            case OpenFeedRequest(source_id=source_id, is_redundant=is_redundant):
                ticket = forwarder.open_feed(
                    connection_id=connection_id, source_id=source_id, is_redundant=is_redundant
                )
                return FeedOpened(request_id=request_id, ticket=ticket)
            case DescribeSourceRequest(source_id=source_id, feed_id=feed_id):
                description = forwarder.describe_source(source_id=source_id, feed_id=feed_id)
                return SourceDescribed(request_id=request_id, description=description)
            case AcceptRelayRequest(source_id=source_id, description=description):
                ticket = forwarder.accept_relay(source_id=source_id, description=description)
                return FeedOpened(request_id=request_id, ticket=ticket)


def _tcp_sockets(descriptors: TcpDescriptors) -> TcpSockets:
    """The sockets of TCP that this process has inherited."""
    handover = TcpHandover(
        inbox=socket.socket(fileno=descriptors.inbox),
        outboxes={number: socket.socket(fileno=outbox) for number, outbox in descriptors.outboxes.items()},
    )
    listeners = [socket.socket(fileno=listener) for listener in descriptors.listeners]
    return TcpSockets(listeners=listeners, handover=handover if descriptors.outboxes else None)


LATE_MODULES = ("cryptography.hazmat.backends.openssl.backend", "cryptography.hazmat.primitives.serialization")
"""Modules that cryptography and pyOpenSSL import when the first certificate is made (`worker_main`)."""


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
        tcp=None if command.tcp is None else _tcp_sockets(command.tcp),
    )
    return _EngineWork(forwarder, reports, feed_directory=command.settings.feed_directory)


if __name__ == "__main__":
    sys.exit(worker_main(lambda control_socket: serve(control_socket, Forwarder), late_modules=LATE_MODULES))
