"""The server: puts the parts together, starts them in order, and ends them in the opposite one.

Owns the process: its signals, its exit code, what it prints. Decides nothing about stages.
"""

import asyncio
import os
import resource
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog
import uvloop

from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.watch.health import Condition, Health, HealthApi
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.store import BookRefusedError
from stagebook.config.rules import Address
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder, DataFolderError, Presence
from stagebook.manager.stage_manager import StageManager
from stagebook.media.ingest.ingest_engine import IngestEngine
from stagebook.media.media_router import MediaRouter
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.worker.worker_process import WorkerStartError
from stagebook.server.http_server import HttpServer
from stagebook.server.listen_sockets import ListenError, ListenSockets, listening
from stagebook.server.logs import configure_logging
from stagebook.server.router import Router
from stagebook.server.startup_banner import greeting, warnings
from stagebook.server.system_clock import tune_collector
from stagebook.server.wiring import (
    Secrets,
    build_aws_api,
    build_stage_manager,
    certificate_files,
    endpoints,
    engine_settings,
    http_bounds,
    ingest_settings,
    join_limits,
    public_address,
)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_FORCED = 130
OPEN_FILES = 65_536

_log = structlog.get_logger(__name__)


class StartError(Exception):
    """The machine does not let the server start. The text says why and what to do."""


def serve(settings: Settings) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP, or until the server cannot go on; return the exit code.

    Raises ConfigError for settings that no part can use, and StartError when the machine does not let it start.
    """
    try:
        folder = DataFolder(Path(settings.data).absolute())
        folder.prepare()
        secrets = Secrets.read(folder, settings)
        configure_logging(level=settings.log_level, form=settings.log_form, secrets=secrets.never_to_be_logged())
        _allow_open_files()
        with listening(settings) as sockets, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, folder, secrets, sockets))
    except (DataFolderError, ListenError, BookRefusedError, WorkerStartError) as error:
        raise StartError(str(error)) from error


def _allow_open_files() -> None:
    """Raise the limit of open files as far as this user may: each connection is one, and many defaults are 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(settings: Settings, folder: DataFolder, secrets: Secrets, sockets: ListenSockets) -> int:
    async with Server(settings, folder=folder, secrets=secrets, sockets=sockets) as server:
        return await server.run()


class Server:
    """All parts of one running server. Entering starts them, leaving stops them; `run` serves in between."""

    book: SqliteBook
    engines: EnginePool
    ingest: IngestEngine | None
    manager: StageManager

    def __init__(self, settings: Settings, *, folder: DataFolder, secrets: Secrets, sockets: ListenSockets) -> None:
        self._settings = settings
        self._folder = folder
        self._secrets = secrets
        self._sockets = sockets
        self._host, self._port = sockets.http.getsockname()[:2]
        self._public_url = public_address(settings, port=self._port)
        self._version = metadata.version("stagebook")
        self._condition = Condition.OK
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as parts:
            self.book = SqliteBook.open(
                self._folder.book_path, show_deleted_history=self._settings.deleted_stage_history
            )
            parts.push_async_callback(self.book.close)
            self.engines = EnginePool(
                engine_settings(self._settings, host=self._host), processes=self._settings.media_processes
            )
            await self.engines.start()
            parts.push_async_callback(self.engines.stop)
            self.ingest = self._build_ingest()
            self.manager = build_stage_manager(
                self._settings,
                book=self.book,
                media=MediaRouter(self.engines, self.ingest),
                secrets=self._secrets,
                endpoints=endpoints(self._settings, public_url=self._public_url, listening=self._sockets),
            )
            recovered = await self.manager.start()
            if recovered:
                _log.warning("sessions left open by the last run were ended", sessions=recovered)
            if self.ingest is not None:
                # Last: encoders that reconnect by themselves ask at once, and the manager must be there to hear them.
                await self.ingest.start()
                parts.push_async_callback(self.ingest.stop)
            self._parts = parts.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._parts.aclose()

    async def run(self) -> int:
        """Serve until a signal, or a part's failure, asks for the end; return the exit code."""
        self._router = self._build_router()
        tune_collector()
        self._http = HttpServer(
            self._router,
            bounds=http_bounds(self._settings),
            trusted_proxies=self._settings.trusted_proxies,
            on_started=self._announce,
            before_end=self._say_farewell,
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)
        self._watched = [asyncio.create_task(self.manager.run_timers()), asyncio.create_task(self.book.wait_ended())]
        for task in self._watched:
            task.add_done_callback(self._on_part_ended)
        await self._http.serve(sockets=[self._sockets.http])
        return EXIT_FAILED if self._condition is Condition.FAILED else EXIT_OK

    def _build_ingest(self) -> IngestEngine | None:
        """Return it, not started yet; None if both doors are switched off. With the book open, the data folder is this
        server's alone: only now may a certificate be made there."""
        rtmp, rtmps = self._sockets.rtmp, self._sockets.rtmps
        if rtmp is None and rtmps is None:
            return None
        certificate = certificate_files(self._settings, folder=self._folder, now=datetime.now(UTC))
        return IngestEngine(ingest_settings(self._settings, certificate=certificate), rtmp=rtmp, rtmps=rtmps)

    def _build_router(self) -> Router:
        return Router(
            aws=build_aws_api(self._settings, manager=self.manager, secrets=self._secrets),
            join=ParticipantsApi(
                self.manager, whip_redirect=self._settings.whip_redirect, limits=join_limits(self._settings)
            ),
            joins=ParticipantsApi.serves,
            health=HealthApi(self._health),
            log_requests=self._settings.log_level == "debug",
        )

    def _health(self) -> Health:
        return Health(
            status=self._condition,
            version=self._version,
            auth=self._settings.auth,
            unknown_stream_keys=self.manager.unknown_stream_keys,
        )

    def _announce(self) -> None:
        self._folder.announce(Presence(endpoint_url=self._public_url, region=self._settings.region))
        text = greeting(
            self._settings,
            version=self._version,
            listening=str(Address(host=self._host, port=self._port)),
            public_url=self._public_url,
            data=self._folder.path,
            media=self.engines.describe(),
            ingest="" if self.ingest is None else self.ingest.describe(),
        )
        print(text, flush=True)
        for warning in warnings(self._settings):
            print(f"WARNING: {warning}", flush=True)
        _log.info("server started", version=self._version, public_url=self._public_url)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._http.should_exit:
            _log.warning("second signal: ending at once; the next start closes what is open")
            os._exit(EXIT_FORCED)
        _log.info("server stopping", signal=number.name)
        self._stop(Condition.STOPPING)

    def _on_part_ended(self, task: asyncio.Task[Any]) -> None:
        """The timers and the book are not meant to end while the server serves."""
        if not task.cancelled():
            _log.critical("the book failed: the server must stop", exc_info=task.exception() or task.result())
            self._stop(Condition.FAILED)

    def _stop(self, condition: Condition) -> None:
        if self._condition is not Condition.FAILED:
            self._condition = condition
        self._http.should_exit = True

    async def _say_farewell(self) -> None:
        """Let requests on their way end, then everybody leaves: each open participant has its LEFT in the book."""
        await self._router.close(timeout_seconds=self._settings.shutdown_timeout_seconds)
        for task in self._watched:
            task.cancel()
        if self._condition is not Condition.FAILED:
            await self.manager.shutdown()
        _log.info("server stopped")
