"""The run of a server: it serves requests until a signal or the failure of a part ends it.

The order of its shutdown is in `lifecycle.py`.
"""

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from stagebook.api.asgi import Application
from stagebook.api.aws.operation_calls import OperationCalls
from stagebook.api.node_state import DatabaseContactState, MeasuredNode, NodeHealth
from stagebook.api.watch.health import Health, ServerStatus
from stagebook.book.book_errors import BookTakenOverError
from stagebook.config.rules import Address
from stagebook.data_folder.secrets import ServerAddress
from stagebook.server.garbage_collection import tune_garbage_collection
from stagebook.server.http.http_server import HttpServer
from stagebook.server.metrics.measured_server import ApiRequests, MeasuredServer
from stagebook.server.router_wiring import build_calls, build_router
from stagebook.server.server_parts import ServerParts
from stagebook.server.startup_banner import settings_warnings, startup_banner
from stagebook.server.watch_wiring import WatchAccessParts
from stagebook.server.wiring import http_limits

if TYPE_CHECKING:
    from stagebook.cluster.cluster_node import ClusterNode
    from stagebook.server.cluster.node_parts import NodeParts
    from stagebook.server.cluster.node_wiring import InternalServer

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_TAKEN_OVER = 3
"""Another node has taken over from this one. It must be started again, as after EXIT_FAILED."""
EXIT_FORCED = 130
LAST_MESSAGE_SECONDS = 1.0
"""How long websockets and event streams may take to send their last messages when the server stops."""

TESTING_WARNING = (
    "with --testing, every program on this machine controls the clock, the participants and the faults of this server"
)

TAKEN_OVER_MESSAGE = (
    "another node has taken over the accounts of this one, which did not reach the database for a lease: this process "
    "ends with exit code 3, and a supervisor starts it again"
)

_log = structlog.get_logger(__name__)


class Server:
    """Serves requests with the parts of a running server until it is told to stop."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._status = ServerStatus.OK
        self._failed_code = EXIT_FAILED
        self._requests = ApiRequests.new()
        self._retention_task: asyncio.Task[None] | None = None
        self._internal: InternalServer | None = None
        self._cluster: ClusterNode | None = None

    async def run(self) -> int:
        """Serve until a signal or the failure of a part; return the exit code."""
        application = await self._build_application()
        tune_garbage_collection()
        self._http = HttpServer(
            application,
            limits=http_limits(self._parts.settings),
            trusted_proxies=self._parts.settings.trusted_proxies,
            on_started=self._on_started,
            before_close=self._shut_down,
            can_cut=self._parts.controlled is not None,
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)
        self._start_tasks()
        await self._http.serve(sockets=[self._parts.sockets.http])
        if self._cluster is not None:
            await self._cluster.stop()
        return EXIT_OK if self._status is not ServerStatus.FAILED else self._failed_code

    async def _build_application(self) -> Application:
        """Return the application for clients: the router, with what nodes and traces put around it."""
        calls, access = build_calls(self._parts), WatchAccessParts(self._parts)
        self._router = build_router(
            self._parts,
            calls=calls,
            access=access,
            requests=self._requests,
            measured=self._measured(),
            health=self._health,
        )
        application: Application = self._router
        if self._parts.node is not None:
            application = await self._start_node(self._parts.node, calls=calls, access=access)
        if self._parts.traces is not None:
            application = self._parts.traces.traced(application, route_of=self._router.path_template)
        return application

    def _start_tasks(self) -> None:
        """Run the timers and retention, and watch the book. The end of the timers or of the book ends the server."""
        self._watched = [
            asyncio.create_task(self._parts.manager.run_timers()),
            asyncio.create_task(self._parts.book.wait_ended()),
        ]
        for task in self._watched:
            task.add_done_callback(self._on_part_ended)
        if self._parts.retention.is_configured:
            self._retention_task = asyncio.create_task(self._parts.retention.run())
            self._retention_task.add_done_callback(_log_end_of_retention)

    async def _start_node(self, node: "NodeParts", *, calls: OperationCalls, access: WatchAccessParts) -> Application:
        """Serve the other nodes; return the application for clients, which sends requests on to them."""
        # Imported late: other servers do not need it.
        from stagebook.server.cluster.node_wiring import InternalServer, build_cluster_node

        cluster = build_cluster_node(
            self._parts,
            node,
            self._router,
            calls=calls,
            access=access,
            describe=lambda: msgspec.json.encode(self._health()),
        )
        self._cluster, self._internal = cluster, InternalServer(self._parts, cluster)
        await cluster.start()
        self._internal.start(self._on_internal_ended)
        return cluster.application

    def _on_internal_ended(self, task: asyncio.Task[None]) -> None:
        if not self._http.should_exit:
            _log.critical("the server for the other nodes has ended", exc_info=task.exception())
            self._stop(ServerStatus.FAILED)

    def _measured(self) -> MeasuredServer:
        """The parts that are measured. The HTTP server and the router are read when they run."""
        parts = self._parts
        return MeasuredServer(
            version=parts.version,
            book=parts.book,
            book_path=parts.folder.book_path,
            manager=parts.manager,
            retention=parts.retention,
            engines=parts.media.engines,
            ingest=parts.media.ingest,
            recorders=parts.media.recorders,
            compositions=parts.media.compositions,
            requests=self._requests,
            connections=lambda: len(self._http.server_state.connections),
            websockets=lambda: self._router.websockets,
            event_streams=lambda: parts.live.reader_count,
            refused=lambda: self._http.refused,
            history=parts.history,
            simulated_recorder=None if parts.controlled is None else parts.controlled.recorder,
            simulated_composer=None if parts.controlled is None else parts.controlled.composer,
            webhook_backlogs=lambda: parts.delivery.backlogs,
            livekit=parts.livekit_counts,
            node=self._measured_node,
        )

    def _measured_node(self) -> MeasuredNode | None:
        if self._parts.node is None or self._cluster is None:
            return None
        return self._parts.node.measured(self._cluster)

    def _health(self) -> Health:
        parts, status = self._parts, self._status
        node = msgspec.UNSET if parts.node is None else parts.node.health()
        if isinstance(node, NodeHealth) and node.database is DatabaseContactState.UNREACHABLE:
            status = ServerStatus.NO_DATABASE if status is ServerStatus.OK else status
        return Health(
            status=status,
            version=parts.version,
            auth=parts.settings.auth,
            unknown_stream_keys=parts.manager.unknown_stream_keys,
            encoder_streams=0 if parts.media.ingest is None else parts.media.ingest.load.streams,
            shed_encoders=0 if parts.media.ingest is None else parts.media.ingest.load.shed_encoders,
            livekit=parts.livekit_health(),
            node=node,
        )

    def _on_started(self) -> None:
        parts = self._parts
        parts.folder.write_server_address(ServerAddress(endpoint_url=parts.public_url, region=parts.settings.region))
        banner = startup_banner(
            parts.settings,
            version=parts.version,
            listening=str(Address(host=parts.host, port=parts.port)),
            public_url=parts.public_url,
            data=parts.folder.path,
            media=parts.media.description,
            ingest="" if parts.media.ingest is None else parts.media.ingest.describe(),
            node="" if parts.node is None else parts.node.describe(),
        )
        print(banner, flush=True)
        if parts.room_history is not None:
            print(parts.room_history.describe(public_url=parts.public_url), flush=True)
        for warning in settings_warnings(parts.settings):
            print(f"WARNING: {warning}", flush=True)
        if parts.controlled is not None:
            print(f"WARNING: {TESTING_WARNING}", flush=True)
            _log.warning("this server is for tests", rule=TESTING_WARNING)
        if parts.folder.repaired_paths:
            paths = [str(path) for path in parts.folder.repaired_paths]
            _log.warning("other users could read these paths: their modes were repaired", paths=paths)
        _log.info("server started", version=parts.version, public_url=parts.public_url)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._http.should_exit:
            _log.warning("second signal: exiting at once; the next start ends the open sessions")
            os._exit(EXIT_FORCED)
        _log.info("server stopping", signal=number.name)
        self._stop(ServerStatus.STOPPING)

    def _on_part_ended(self, task: asyncio.Task[Any]) -> None:
        """Shut down: the timers and the book must not end while the server is running."""
        if task.cancelled():
            return
        failure = task.exception() or task.result()
        if isinstance(failure, BookTakenOverError):
            self._failed_code = EXIT_TAKEN_OVER
            _log.critical(TAKEN_OVER_MESSAGE, reason=str(failure))
        else:
            _log.critical("the book failed: the server must stop", exc_info=failure)
        self._stop(ServerStatus.FAILED)

    def _stop(self, status: ServerStatus) -> None:
        if self._status is not ServerStatus.FAILED:
            self._status = status
        self._http.should_exit = True

    async def _shut_down(self) -> None:
        """Wait for requests in progress, then end every session, so that the book has a LEFT of each participant."""
        if self._parts.controlled is not None:
            self._parts.controlled.faults.end_delays()
        timeout_seconds = self._parts.settings.shutdown_timeout_seconds
        if self._parts.node is not None:
            await self._parts.node.stop_taking()
        if self._cluster is not None:
            await self._cluster.drain(timeout_seconds=timeout_seconds)
        await self._router.close(timeout_seconds=timeout_seconds)
        if self._internal is not None:
            await self._internal.stop()
        for task in self._watched:
            task.cancel()
        if self._retention_task is not None:
            self._retention_task.cancel()
        if self._status is not ServerStatus.FAILED:
            await self._parts.manager.shutdown()
            await self._free_accounts()
        # After the last events, so that they are sent too.
        await self._parts.live.end()
        if self._status is not ServerStatus.FAILED:
            await self._router.wait_for_lasting(timeout_seconds=LAST_MESSAGE_SECONDS)
        _log.info("server stopped")

    async def _free_accounts(self) -> None:
        """Let other nodes take the accounts. The events of all sessions are durable, and nothing more is written.

        What remains to be done, such as last messages and the end of the media processes, can take seconds.
        """
        if self._parts.node is not None:
            # Before the run ends: after it, the process could not store what it has delivered.
            await self._parts.delivery.stop()
            await self._parts.node.book.end_run()


def _log_end_of_retention(task: asyncio.Task[None]) -> None:
    """Log the failure of retention. The server goes on: only a failure of the book, which it watches too, ends it."""
    if not task.cancelled():
        _log.error("retention failed: nothing is deleted by age until the next start", exc_info=task.exception())
