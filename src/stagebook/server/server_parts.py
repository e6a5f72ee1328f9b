"""The parts of a running server below HTTP: the book, the stage manager, the media processes, the readers of the book.

start:  traces -> book -> history processes, live tail
        -> engine processes and stage manager (recovery), side by side -> webhooks -> ingest processes
end:    in the reverse order
"""

import asyncio
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from types import TracebackType
from typing import Self

import structlog

from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_event_log import SqliteEventLog
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.history.search.search_indexer import SearchIndexer
from stagebook.manager.retention import Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.ingest.tls_certificate import CertificateFiles
from stagebook.media.media_router import MediaRouter
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.server.garbage_collection import tune_garbage_collection
from stagebook.server.listen_sockets import ListenSockets
from stagebook.server.server_secrets import ServerSecrets
from stagebook.server.system_clock import SystemRandomness
from stagebook.server.telemetry.start_traces import start_traces
from stagebook.server.webhook_wiring import (
    build_webhook_delivery,
    use_webhook_settings,
    webhook_service,
)
from stagebook.server.wiring import (
    build_retention,
    build_stage_manager,
    engine_settings,
    ingest_process_count,
    ingest_settings,
    media_process_user,
    public_base_url,
    public_endpoints,
    rtmps_certificate_files,
)
from stagebook.webhooks.delivery.delivery_process import WebhookDelivery
from stagebook.webhooks.webhook_service import WebhookService

_log = structlog.get_logger(__name__)


class ServerParts:
    """Entering the context starts the parts, leaving it stops them."""

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
        self.settings = settings
        self.folder = folder
        self.secrets = secrets
        self.sockets = sockets
        self.host, self.port = sockets.http.getsockname()[:2]
        self.public_url = public_base_url(settings, port=self.port)
        self.version = metadata.version("stagebook")
        self._lock = lock
        self._media_user = media_process_user(settings)
        self._started = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # Recovery makes hundreds of thousands of values at once: with the default thresholds, a quarter of its time
        # would go to collections that find nothing.
        tune_garbage_collection()
        async with AsyncExitStack() as parts:
            self.traces = start_traces(self.settings.otlp_endpoint, version=self.version, environment=os.environ)
            if self.traces is not None:
                parts.push_async_callback(self.traces.close)
            self.book = self._open_book(parts)
            self.history = self._start_history(parts)
            self.live = self._start_live_events(parts)
            await self._start_stages(parts)
            self._start_webhooks(parts)
            if self.ingest is not None:
                # Started last: encoders reconnect at once, and the manager must be ready to admit them.
                await self.ingest.start()
                parts.push_async_callback(self.ingest.stop)
            self._started = parts.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started.aclose()

    def _open_book(self, parts: AsyncExitStack) -> SqliteBook:
        book = SqliteBook.open(
            self.folder.book_path,
            read_secret=partial(self.folder.stream_key_secret, randomness=SystemRandomness()),
            lock=self._lock,
            show_deleted_history=self.settings.deleted_stage_history,
        )
        parts.push_async_callback(book.close)
        if self.traces is not None:
            book.observe_commits(self.traces.commits)
        return book

    async def _start_stages(self, parts: AsyncExitStack) -> None:
        """Start the media engines and the stage manager, which ends what an interrupted run has left open."""
        self.engines = EnginePool(
            engine_settings(self.settings, host=self.host),
            processes=self.settings.media_processes,
            user=self._media_user,
        )
        # The processes take about as long to start as recovery takes for thousands of participants: side by side.
        engines_start = asyncio.create_task(self.engines.start())
        parts.push_async_callback(self.engines.stop)
        parts.callback(engines_start.cancel)
        self.ingest = self._build_ingest()
        self.manager = build_stage_manager(
            self.settings,
            book=self.book,
            media=MediaRouter(self.engines, self.ingest),
            secrets=self.secrets,
            endpoints=public_endpoints(self.settings, public_url=self.public_url, sockets=self.sockets),
        )
        self.retention = build_retention(self.settings, book=self.book, manager=self.manager)
        if self.retention.is_configured and not self.book.can_shrink:
            await self._make_book_shrinkable()
        recovered = await self.manager.start()
        await engines_start
        if recovered:
            _log.warning("sessions left open by the last run were ended", sessions=recovered)

    async def _make_book_shrinkable(self) -> None:
        """Rewrite a book of an earlier version once, so that its file becomes shorter when rows are deleted."""
        path = str(self.folder.book_path)
        _log.info("the book is being rewritten once, so that its file can become shorter", path=path)
        if not await self.book.make_shrinkable():
            _log.warning(
                "the book could not be rewritten: its file keeps its size when rows are deleted, and the next start "
                "tries again. It needs as much free space as its size, beside it and in SQLITE_TMPDIR (/var/tmp)",
                path=path,
            )

    def _start_history(self, parts: AsyncExitStack) -> HistoryProcesses:
        """Return the processes that read the history, and let them index what becomes durable."""
        history = HistoryProcesses(self.folder.book_path, processes=self.settings.watch_processes)
        parts.push_async_callback(history.close)
        indexer = SearchIndexer(history)
        self.book.on_durable(indexer.note_durable)
        indexer.start()
        parts.push_async_callback(indexer.stop)
        return history

    def _start_live_events(self, parts: AsyncExitStack) -> LiveEvents:
        log = SqliteEventLog.open(self.folder.book_path)
        parts.callback(log.close)
        live = LiveEvents(log, heartbeat_seconds=self.settings.watch_heartbeat_seconds)
        self.book.on_durable(live.note_durable)
        live.start()
        parts.push_async_callback(live.end)
        return live

    def _build_ingest(self) -> IngestPool | None:
        """Return the ingest pool, not started yet, or None if RTMP and RTMPS are switched off.

        Must be called while the book is open: its lock ensures that no other server uses the data folder, in which a
        certificate may be generated.
        """
        rtmp, rtmps = self.sockets.rtmp, self.sockets.rtmps
        if rtmp is None and rtmps is None:
            return None
        files = rtmps_certificate_files(self.settings, folder=self.folder, now=datetime.now(UTC))
        return IngestPool(
            ingest_settings(self.settings),
            processes=ingest_process_count(self.settings, cores=_usable_cores()),
            rtmp=rtmp,
            rtmps=rtmps,
            certificate=None if files is None else CertificateFiles(*files),
            user=self._media_user,
        )

    def _start_webhooks(self, parts: AsyncExitStack) -> None:
        """Deliver events from now on, also those of recovery. Raises ConfigError for a destination of the settings."""
        self.webhooks = webhook_service(self.folder)
        use_webhook_settings(self.settings, self.webhooks, account_id=self.secrets.access_key.account_id)
        self.delivery = build_webhook_delivery(self.settings, self.folder)
        self.delivery.start()
        parts.push_async_callback(self.delivery.stop)
        self.book.on_durable(self.delivery.note_durable)


def _usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
