"""The lifecycle of the server process: start, signals, shutdown and exit code.

    start:     data folder -> lock -> secrets -> listen sockets -> book
               -> engine processes and stage manager (recovery), side by side -> ingest processes -> HTTP
    shutdown:  refuse new requests -> wait for requests in progress -> the stage manager ends every session
               -> event streams -> HTTP -> ingest processes -> engine processes -> history processes -> book
               -> listen sockets

The first SIGTERM, SIGINT or SIGHUP starts a clean shutdown. A second one ends the process at once; the recovery of the
next start then ends the sessions that were open. The server also shuts down when the book or the timers of the stage
manager fail.
"""

import asyncio
import os
import resource
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog
import uvloop

from stagebook.api.asgi import Application
from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.watch.console.console_files import ConsoleFiles
from stagebook.api.watch.health import Health, HealthApi, ServerStatus
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_event_log import SqliteEventLog
from stagebook.book.store import BookFailedError, BookRefusedError
from stagebook.config.rules import Address
from stagebook.config.settings import Settings
from stagebook.data_folder.folder_permissions import PRIVATE_UMASK, DataFolderError
from stagebook.data_folder.secrets import DataFolder, ServerAddress
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.history.search.search_indexer import SearchIndexer
from stagebook.manager.retention import Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.ingest.tls_certificate import CertificateFiles
from stagebook.media.media_router import MediaRouter
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.worker.worker_run import WorkerStartError
from stagebook.server.garbage_collection import tune_garbage_collection
from stagebook.server.http.http_server import HttpServer
from stagebook.server.listen_sockets import ListenError, ListenSockets, open_listen_sockets
from stagebook.server.logs import configure_logging
from stagebook.server.metrics_wiring import ApiRequests, MeasuredServer, build_metrics
from stagebook.server.router import AsgiRouter
from stagebook.server.server_secrets import ServerSecrets
from stagebook.server.startup_banner import settings_warnings, startup_banner
from stagebook.server.system_clock import SystemRandomness
from stagebook.server.telemetry.start_traces import start_traces
from stagebook.server.watch_wiring import WatchAccessParts, WatchParts, build_watch_api
from stagebook.server.webhook_wiring import (
    build_webhook_delivery,
    use_webhook_settings,
    webhook_service,
)
from stagebook.server.wiring import (
    build_aws_api,
    build_operation_calls,
    build_retention,
    build_stage_manager,
    engine_settings,
    http_limits,
    ingest_process_count,
    ingest_settings,
    media_process_user,
    participant_request_limits,
    public_base_url,
    public_endpoints,
    rtmps_certificate_files,
)
from stagebook.webhooks.delivery_process import WebhookDelivery
from stagebook.webhooks.webhook_file import WebhookFileError
from stagebook.webhooks.webhook_service import WebhookService

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_FORCED = 130
OPEN_FILES_LIMIT = 65_536
LAST_MESSAGE_SECONDS = 1.0
"""How long websockets and event streams may take to send their last messages when the server stops."""

_log = structlog.get_logger(__name__)


class StartError(Exception):
    """The server cannot start on this machine. The message says why and what to do."""


def serve(settings: Settings) -> int:
    """Run the server until a signal or a failure ends it; return the exit code.

    Raises ConfigError for settings that cannot be used, and StartError if the data folder, the book, a listen address
    or a worker process cannot be used.
    """
    try:
        os.umask(PRIVATE_UMASK)
        folder = DataFolder(Path(settings.data).absolute())
        folder.prepare()
        # The first start generates the secrets. Only one server may do that, so the lock is taken before.
        with BookLock.take(folder.book_path) as lock:
            secrets = ServerSecrets.read(folder, settings)
            configure_logging(level=settings.log_level, form=settings.log_form, secrets=secrets.secret_strings())
            _raise_open_files_limit()
            with open_listen_sockets(settings) as sockets, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_serve(settings, folder, lock, secrets, sockets))
    except (
        DataFolderError,
        ListenError,
        BookRefusedError,
        BookFailedError,
        WorkerStartError,
        WebhookFileError,
    ) as error:
        raise StartError(str(error)) from error


def _raise_open_files_limit() -> None:
    """Raise the soft limit of open files, as each connection is an open file and many systems default to 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_LIMIT if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def _serve(
    settings: Settings, folder: DataFolder, lock: BookLock, secrets: ServerSecrets, sockets: ListenSockets
) -> int:
    async with Server(settings, folder=folder, lock=lock, secrets=secrets, sockets=sockets) as server:
        return await server.run()


class Server:
    """The parts of a running server. Entering the context starts them, leaving it stops them; `run` serves requests."""

    book: SqliteBook
    history: HistoryProcesses
    live: LiveEvents
    engines: EnginePool
    ingest: IngestPool | None
    manager: StageManager
    retention: Retention
    webhooks: WebhookService
    delivery: WebhookDelivery

    def __init__(
        self,
        settings: Settings,
        *,
        folder: DataFolder,
        lock: BookLock,
        secrets: ServerSecrets,
        sockets: ListenSockets,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._lock = lock
        self._secrets = secrets
        self._sockets = sockets
        self._media_user = media_process_user(settings)
        self._host, self._port = sockets.http.getsockname()[:2]
        self._public_url = public_base_url(settings, port=self._port)
        self._version = metadata.version("stagebook")
        self._status = ServerStatus.OK
        self._requests = ApiRequests.new()
        self._started_parts = AsyncExitStack()
        self._retention_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # Recovery makes hundreds of thousands of values at once: with the default thresholds, a quarter of its time
        # would go to collections that find nothing.
        tune_garbage_collection()
        async with AsyncExitStack() as parts:
            self._traces = start_traces(self._settings.otlp_endpoint, version=self._version, environment=os.environ)
            if self._traces is not None:
                parts.push_async_callback(self._traces.close)
            self.book = SqliteBook.open(
                self._folder.book_path,
                read_secret=partial(self._folder.stream_key_secret, randomness=SystemRandomness()),
                lock=self._lock,
                show_deleted_history=self._settings.deleted_stage_history,
            )
            parts.push_async_callback(self.book.close)
            if self._traces is not None:
                self.book.observe_commits(self._traces.commits)
            self.history = HistoryProcesses(self._folder.book_path, processes=self._settings.watch_processes)
            parts.push_async_callback(self.history.close)
            self._start_indexer(parts)
            self.live = self._start_live_events(parts)
            self.engines = EnginePool(
                engine_settings(self._settings, host=self._host),
                processes=self._settings.media_processes,
                user=self._media_user,
            )
            # The processes take about as long to start as recovery takes for thousands of participants: side by side.
            engines_start = asyncio.create_task(self.engines.start())
            parts.push_async_callback(self.engines.stop)
            parts.callback(engines_start.cancel)
            self.ingest = self._build_ingest()
            self.manager = build_stage_manager(
                self._settings,
                book=self.book,
                media=MediaRouter(self.engines, self.ingest),
                secrets=self._secrets,
                endpoints=public_endpoints(self._settings, public_url=self._public_url, sockets=self._sockets),
            )
            self.retention = build_retention(self._settings, book=self.book, manager=self.manager)
            if self.retention.is_configured and not self.book.can_shrink:
                await self._make_book_shrinkable()
            recovered = await self.manager.start()
            await engines_start
            if recovered:
                _log.warning("sessions left open by the last run were ended", sessions=recovered)
            self._start_webhooks(parts)
            if self.ingest is not None:
                # Started last: encoders reconnect at once, and the manager must be ready to admit them.
                await self.ingest.start()
                parts.push_async_callback(self.ingest.stop)
            self._started_parts = parts.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started_parts.aclose()

    async def _make_book_shrinkable(self) -> None:
        """Rewrite a book of an earlier version once, so that its file becomes shorter when rows are deleted."""
        path = str(self._folder.book_path)
        _log.info("the book is being rewritten once, so that its file can become shorter", path=path)
        if not await self.book.make_shrinkable():
            _log.warning(
                "the book could not be rewritten: its file keeps its size when rows are deleted, and the next start "
                "tries again. It needs as much free space as its size, beside it and in SQLITE_TMPDIR (/var/tmp)",
                path=path,
            )

    async def run(self) -> int:
        """Serve until a signal or the failure of a part; return the exit code."""
        self._router = self._build_router()
        application: Application = self._router
        if self._traces is not None:
            application = self._traces.traced(self._router, route_of=self._router.path_template)
        tune_garbage_collection()
        self._http = HttpServer(
            application,
            limits=http_limits(self._settings),
            trusted_proxies=self._settings.trusted_proxies,
            on_started=self._on_started,
            before_close=self._shut_down,
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)
        self._watched = [asyncio.create_task(self.manager.run_timers()), asyncio.create_task(self.book.wait_ended())]
        for task in self._watched:
            task.add_done_callback(self._on_part_ended)
        if self.retention.is_configured:
            self._retention_task = asyncio.create_task(self.retention.run())
            self._retention_task.add_done_callback(_log_end_of_retention)
        await self._http.serve(sockets=[self._sockets.http])
        return EXIT_FAILED if self._status is ServerStatus.FAILED else EXIT_OK

    def _start_indexer(self, parts: AsyncExitStack) -> None:
        indexer = SearchIndexer(self.history)
        self.book.on_durable(indexer.note_durable)
        indexer.start()
        parts.push_async_callback(indexer.stop)

    def _start_live_events(self, parts: AsyncExitStack) -> LiveEvents:
        log = SqliteEventLog.open(self._folder.book_path)
        parts.callback(log.close)
        live = LiveEvents(log, heartbeat_seconds=self._settings.watch_heartbeat_seconds)
        self.book.on_durable(live.note_durable)
        live.start()
        parts.push_async_callback(live.end)
        return live

    def _build_ingest(self) -> IngestPool | None:
        """Return the ingest pool, not started yet, or None if RTMP and RTMPS are switched off.

        Must be called while the book is open: its lock ensures that no other server uses the data folder, in which a
        certificate may be generated.
        """
        rtmp, rtmps = self._sockets.rtmp, self._sockets.rtmps
        if rtmp is None and rtmps is None:
            return None
        files = rtmps_certificate_files(self._settings, folder=self._folder, now=datetime.now(UTC))
        return IngestPool(
            ingest_settings(self._settings),
            processes=ingest_process_count(self._settings, cores=_usable_cores()),
            rtmp=rtmp,
            rtmps=rtmps,
            certificate=None if files is None else CertificateFiles(*files),
            user=self._media_user,
        )

    def _start_webhooks(self, parts: AsyncExitStack) -> None:
        """Deliver events from now on, also those of recovery. Raises ConfigError for a destination of the settings."""
        self.webhooks = webhook_service(self._folder)
        use_webhook_settings(self._settings, self.webhooks, account_id=self._secrets.access_key.account_id)
        self.delivery = build_webhook_delivery(self._settings, self._folder)
        self.delivery.start()
        parts.push_async_callback(self.delivery.stop)
        self.book.on_durable(self.delivery.note_durable)

    def _build_router(self) -> AsgiRouter:
        calls = build_operation_calls(self._settings, manager=self.manager, secrets=self._secrets)
        parts = WatchParts(
            settings=self._settings,
            folder=self._folder,
            secrets=self._secrets,
            book=self.book,
            history=self.history,
            live=self.live,
            manager=self.manager,
            calls=calls,
            webhooks=self.webhooks,
            delivery=self.delivery,
            version=self._version,
            public_url=self._public_url,
            engines=self.engines,
        )
        access = WatchAccessParts(parts)
        return AsgiRouter(
            aws=build_aws_api(self._settings, calls=calls, secrets=self._secrets, requests=self._requests.aws),
            participants=ParticipantsApi(
                self.manager.participants,
                whip_redirect=self._settings.whip_redirect,
                limits=participant_request_limits(self._settings),
                requests=self._requests.participants,
            ),
            is_for_participants=ParticipantsApi.serves,
            health=HealthApi(self._health),
            console=ConsoleFiles(public_url=self._public_url),
            watch=build_watch_api(parts, access=access, requests=self._requests.watch),
            metrics=build_metrics(self._settings, self._measured(), keys=access.authentication),
            log_requests=self._settings.log_level == "debug",
        )

    def _measured(self) -> MeasuredServer:
        """The parts that are measured. The HTTP server and the router are read when they run."""
        return MeasuredServer(
            version=self._version,
            book=self.book,
            book_path=self._folder.book_path,
            manager=self.manager,
            retention=self.retention,
            engines=self.engines,
            ingest=self.ingest,
            requests=self._requests,
            connections=lambda: len(self._http.server_state.connections),
            websockets=lambda: self._router.websockets,
            event_streams=lambda: self.live.reader_count,
            refused=lambda: self._http.refused,
            history=self.history,
            webhook_backlogs=lambda: self.delivery.backlogs,
        )

    def _health(self) -> Health:
        return Health(
            status=self._status,
            version=self._version,
            auth=self._settings.auth,
            unknown_stream_keys=self.manager.unknown_stream_keys,
            encoder_streams=0 if self.ingest is None else self.ingest.load.streams,
            shed_encoders=0 if self.ingest is None else self.ingest.load.shed_encoders,
        )

    def _on_started(self) -> None:
        self._folder.write_server_address(ServerAddress(endpoint_url=self._public_url, region=self._settings.region))
        banner = startup_banner(
            self._settings,
            version=self._version,
            listening=str(Address(host=self._host, port=self._port)),
            public_url=self._public_url,
            data=self._folder.path,
            media=self.engines.describe(),
            ingest="" if self.ingest is None else self.ingest.describe(),
        )
        print(banner, flush=True)
        for warning in settings_warnings(self._settings):
            print(f"WARNING: {warning}", flush=True)
        if self._folder.repaired_paths:
            paths = [str(path) for path in self._folder.repaired_paths]
            _log.warning("other users could read these paths: their modes were repaired", paths=paths)
        _log.info("server started", version=self._version, public_url=self._public_url)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._http.should_exit:
            _log.warning("second signal: exiting at once; the next start ends the open sessions")
            os._exit(EXIT_FORCED)
        _log.info("server stopping", signal=number.name)
        self._stop(ServerStatus.STOPPING)

    def _on_part_ended(self, task: asyncio.Task[Any]) -> None:
        """Shut down: the timers and the book must not end while the server is running."""
        if not task.cancelled():
            _log.critical("the book failed: the server must stop", exc_info=task.exception() or task.result())
            self._stop(ServerStatus.FAILED)

    def _stop(self, status: ServerStatus) -> None:
        if self._status is not ServerStatus.FAILED:
            self._status = status
        self._http.should_exit = True

    async def _shut_down(self) -> None:
        """Wait for requests in progress, then end every session, so that the book has a LEFT of each participant."""
        await self._router.close(timeout_seconds=self._settings.shutdown_timeout_seconds)
        for task in self._watched:
            task.cancel()
        if self._retention_task is not None:
            self._retention_task.cancel()
        if self._status is not ServerStatus.FAILED:
            await self.manager.shutdown()
        # After the last events, so that they are sent too.
        await self.live.end()
        if self._status is not ServerStatus.FAILED:
            await self._router.wait_for_lasting(timeout_seconds=LAST_MESSAGE_SECONDS)
        _log.info("server stopped")


def _log_end_of_retention(task: asyncio.Task[None]) -> None:
    """Log the failure of retention. The server goes on: only a failure of the book, which it watches too, ends it."""
    if not task.cancelled():
        _log.error("nothing more is deleted by age until the next start", exc_info=task.exception())
