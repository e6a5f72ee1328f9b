"""All ingest processes as one: each connection is served by one process, and decisions about it go there.

The server owns the listening sockets. Encoders that connect while no process runs wait in their accept queues instead
of being refused. When a process is lost, its connections end, those of the others go on, and a new process takes its
place. What concerns several connections is decided here, in one place: the limits of connections, the addresses with
wrong keys, and which process serves the next encoder. Each process counts its own streams and knows its own load.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from stagebook.media.ingest.encoder_relay import RelayTarget
from stagebook.media.ingest.ingest_settings import IngestSettings
from stagebook.media.ingest.processes.connection_acceptor import ConnectionAcceptor
from stagebook.media.ingest.processes.connection_handover import HandedConnection
from stagebook.media.ingest.processes.connection_limits import ConnectionLimits
from stagebook.media.ingest.processes.ingest_messages import EncoderGone
from stagebook.media.ingest.processes.ingest_worker import IngestWorker
from stagebook.media.ingest.tls_certificate import CertificateFiles
from stagebook.media.media_bus import FeedTicket
from stagebook.media.port import IngestAsked, MediaFact, MediaRefusedError, RefusalReason
from stagebook.media.worker.least_rights import ProcessUser
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.media.worker.worker_timeouts import WorkerTimeouts

MAX_INGEST_PROCESSES = 64
RENEWAL_INTERVAL_SECONDS = 60.0
"""How often the files of the certificate are checked."""


_log = structlog.get_logger(__name__)


class IngestLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The sums over all ingest processes: the streams now, and the encoders that were refused to shed load."""

    streams: int
    shed_encoders: int


class RouteEncoder(Protocol):
    """Decides which node serves an encoder."""

    def __call__(self, asked: IngestAsked, *, is_relayed: bool) -> bool:
        """Return whether another node may serve the encoder that asked: then `relay`, `refuse` or `serve_here` follows.

        `is_relayed` is whether another node relays it already.
        """


class IngestPool:
    """The ingest processes of a server."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        processes: int,
        rtmp: socket.socket | None,
        rtmps: socket.socket | None,
        certificate: CertificateFiles | None = None,
        user: ProcessUser | None = None,
        timeouts: WorkerTimeouts = WorkerTimeouts(),  # noqa: B008 - frozen
        on_demand: bool = False,
    ) -> None:
        """`rtmp` and `rtmps` are listening sockets. The processes run as `user`, or as this process's user. With
        `on_demand` they start with the first connection.

        Raises ValueError for RTMPS without a certificate, and unless `processes` is from 1 to MAX_INGEST_PROCESSES.
        """
        if rtmps is not None and certificate is None:
            raise ValueError("rtmps: needs a certificate")
        if not 1 <= processes <= MAX_INGEST_PROCESSES:
            raise ValueError(f"processes: 1 to {MAX_INGEST_PROCESSES}")
        bound = (("RTMP", rtmp), ("RTMPS", rtmps))
        self._addresses = ", ".join(f"{name} on {_address(each)}" for name, each in bound if each is not None)
        self._on_fact: Callable[[MediaFact], None] = lambda _fact: None
        self._route: RouteEncoder = _serve_here
        self._shed_encoders = 0
        self._certificate = certificate
        self._renewal: asyncio.Task[None] | None = None
        self._is_on_demand = on_demand
        self._starting: asyncio.Task[None] | None = None
        """The start of the processes on demand; None before it has begun."""
        self._workers = [
            IngestWorker(
                settings,
                number=number,
                addresses=self._addresses,
                certificate=certificate,
                user=user,
                on_fact=self._handle_fact,
                on_gone=self._handle_gone,
                timeouts=timeouts,
            )
            for number in range(processes)
        ]
        self._acceptor = self._build_acceptor(settings, rtmp=rtmp, rtmps=rtmps)

    def _build_acceptor(
        self, settings: IngestSettings, *, rtmp: socket.socket | None, rtmps: socket.socket | None
    ) -> ConnectionAcceptor:
        limits = ConnectionLimits(
            max_connections=settings.max_connections,
            max_per_network=settings.max_connections_per_address,
            shared_networks=settings.shared_networks,
            clock=time.monotonic,
        )
        return ConnectionAcceptor(
            rtmp=rtmp,
            rtmps=rtmps,
            limits=limits,
            hand_over=self._hand_over,
            drop=self._drop,
            clock=time.monotonic,
        )

    @property
    def workers(self) -> tuple[IngestWorker, ...]:
        """The ingest processes, by number."""
        return tuple(self._workers)

    @property
    def load(self) -> IngestLoad:
        """What all processes together serve and have refused."""
        return IngestLoad(
            streams=sum(worker.stream_count for worker in self._workers), shed_encoders=self._shed_encoders
        )

    def describe(self) -> str:
        """Return the addresses for log lines and error messages: `RTMP on 127.0.0.1:1935, RTMPS on [::1]:443`."""
        return self._addresses

    def listen(self, on_fact: Callable[[MediaFact], None]) -> None:
        """As MediaEngine.listen."""
        self._on_fact = on_fact

    def route_by(self, route: RouteEncoder) -> None:
        """Ask `route` about each encoder that has named a stream key. Without this, all are served here."""
        self._route = route

    def serve_here(self, asked: IngestAsked) -> None:
        """Let this server decide about an encoder that was routed."""
        self._on_fact(asked)

    def relay(self, target: RelayTarget, *, ask_id: str) -> None:
        """Let another node serve the encoder that asked. Unknown ids are ignored."""
        worker = self._worker_with(ask_id)
        if worker is not None:
            worker.relay(target, ask_id=ask_id)

    def take_relayed(self, connection: socket.socket, *, address: str, is_secure: bool) -> None:
        """Serve the encoder at `address`, which another node relays on this connection (`encoder_relay`)."""
        connection.setblocking(False)  # noqa: FBT003 - the standard library's
        self._acceptor.take_relayed(connection, address=address, is_secure=is_secure)

    async def start(self) -> None:
        """Start all processes, side by side, unless they start on demand; accept connections.

        Raises WorkerStartError, also for a certificate that cannot be used; no process is left running then.
        """
        try:
            if self._certificate is not None:
                self._certificate.pair()
            if not self._is_on_demand:
                await self._start_workers()
        except BaseException as error:
            await self.stop()
            if isinstance(error, OSError):
                raise WorkerStartError(f"cannot serve encoders ({self._addresses}): {error}") from error
            raise
        self._acceptor.start()
        if self._certificate is not None:
            self._renewal = asyncio.create_task(self._renew_regularly())

    async def _start_workers(self) -> None:
        await asyncio.gather(*(worker.start() for worker in self._workers))

    async def stop(self) -> None:
        """Stop accepting connections and stop all processes. The encoders receive a message; no facts are reported."""
        if self._renewal is not None:
            self._renewal.cancel()
        if self._starting is not None:
            self._starting.cancel()
        await self._acceptor.stop()
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    def renew_certificate(self) -> None:
        """Send the certificate to the processes if its files have changed and can be used."""
        renewed = None if self._certificate is None else self._certificate.renewed()
        if renewed is not None:
            for worker in self._workers:
                worker.renew_certificate(renewed)

    async def _renew_regularly(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_INTERVAL_SECONDS)
            self.renew_certificate()

    async def admit(self, *, ask_id: str, connection_id: str, ticket: FeedTicket) -> None:
        """Let the encoder that asked publish to the feed of `ticket`, as `connection_id`.

        Raises MediaRefusedError: UNKNOWN_CONNECTION if the encoder or its process is gone, BUSY if the process is full,
        ENGINE_LOST without a reply.
        """
        self._acceptor.keep(ask_id)
        worker = self._worker_with(ask_id)
        if worker is None:
            raise MediaRefusedError(reason=RefusalReason.UNKNOWN_CONNECTION, detail="the encoder is gone")
        await worker.admit(ask_id=ask_id, connection_id=connection_id, ticket=ticket)

    def refuse(self, *, ask_id: str, detail: str, is_wrong_key: bool) -> None:
        """As MediaEngine.refuse_ingest."""
        if is_wrong_key:
            self._acceptor.add_wrong_key(ask_id)
        worker = self._worker_with(ask_id)
        if worker is not None:
            worker.refuse(ask_id=ask_id, detail=detail)

    def close(self, *, connection_id: str, detail: str = "") -> None:
        """As MediaEngine.close."""
        for worker in self._workers:
            worker.close(connection_id=connection_id, detail=detail)

    def _hand_over(self, connection: HandedConnection, accepted: socket.socket) -> bool:
        """Hand a connection to the most suitable of the processes that can take it.

        Returns False if none can, and if all would refuse the encoder while another is restarting.
        """
        if self._is_on_demand and self._starting is None:
            self._starting = asyncio.create_task(self._start_workers())
            self._starting.add_done_callback(_log_failed_start)
        is_restarting = any(worker.is_restarting for worker in self._workers)
        for worker in sorted(self._workers, key=lambda worker: worker.rank):
            if worker.will_refuse and is_restarting:
                return False
            if worker.hand_over(connection, accepted):
                return True
        return False

    def _drop(self, ask_id: str) -> None:
        worker = self._worker_with(ask_id)
        if worker is not None:
            worker.drop(ask_id=ask_id)

    def _handle_fact(self, fact: MediaFact) -> None:
        if isinstance(fact, IngestAsked) and self._route(fact, is_relayed=self._acceptor.is_relayed(fact.ask_id)):
            return
        self._on_fact(fact)

    def _handle_gone(self, gone: EncoderGone) -> None:
        self._shed_encoders += gone.was_shed
        self._acceptor.end(gone.ask_id)

    def _worker_with(self, ask_id: str) -> IngestWorker | None:
        return next((worker for worker in self._workers if worker.has(ask_id)), None)


def _serve_here(asked: IngestAsked, *, is_relayed: bool) -> bool:  # noqa: ARG001 - as RouteEncoder
    return False


def _log_failed_start(starting: asyncio.Task[None]) -> None:
    if not starting.cancelled() and starting.exception() is not None:
        _log.error("encoders are not served", detail=str(starting.exception()))


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
