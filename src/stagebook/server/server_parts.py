"""The parts of a running server below HTTP: the book, the stage manager, the media processes, the readers of the book.

start:  traces -> book -> history processes, live tail
        -> engine processes and stage manager (recovery), side by side -> recorder process, if one is needed
        -> webhooks -> ingest processes
end:    in the reverse order
"""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from stagebook.api.access.sigv4.credentials import CredentialStore
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_event_log import SqliteEventLog
from stagebook.config.rules import ConfigError
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.history.search.search_indexer import SearchIndexer
from stagebook.livekit_history.watched_livekit import WatchedLiveKit
from stagebook.manager.retention import Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.media.composition.composition_port import CompositionEngine
from stagebook.media.composition.processes.composition_pool import CompositionPool
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.ingest.tls_certificate import CertificateFiles
from stagebook.media.media_router import MediaRouter
from stagebook.media.port import MediaEngine
from stagebook.media.recording.processes.recorder_pool import RecorderPool
from stagebook.media.recording.recording_port import RecordingEngine
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.simulated.mixed_media import MixedMedia
from stagebook.media.simulated.silent_feeds import SilentFeeds
from stagebook.server.composition_wiring import build_compositions
from stagebook.server.controlled_parts import ControlledParts
from stagebook.server.garbage_collection import tune_garbage_collection
from stagebook.server.listen_sockets import ListenSockets
from stagebook.server.livekit.watched_rooms import WatchedRooms, watched_rooms
from stagebook.server.server_secrets import ServerSecrets
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.server.telemetry.start_traces import start_traces
from stagebook.server.webhook_wiring import (
    build_webhook_delivery,
    use_webhook_settings,
    webhook_service,
)
from stagebook.server.wiring import (
    build_recorders,
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
from stagebook.stage.clock import Clock, Randomness
from stagebook.webhooks.delivery.delivery_process import WebhookDelivery
from stagebook.webhooks.webhook_service import WebhookService

if TYPE_CHECKING:
    from stagebook.server.media_engine.livekit_wiring import LiveKitMedia

_log = structlog.get_logger(__name__)


class ServerParts:
    """Entering the context starts the parts, leaving it stops them."""

    book: SqliteBook
    event_log: SqliteEventLog
    history: HistoryProcesses
    live: LiveEvents
    engines: EnginePool
    livekit: "LiveKitMedia | None"
    ingest: IngestPool | None
    compositions: CompositionPool
    recorders: RecorderPool
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
        controlled: ControlledParts | None = None,
        watched: WatchedLiveKit | None = None,
    ) -> None:
        """`controlled` is what the testing API controls, in a server with `--testing`. `watched` is a LiveKit server
        whose history the book keeps, in `stagebook livekit watch`."""
        self.settings = settings
        self.folder = folder
        self.secrets = secrets
        self.sockets = sockets
        self.controlled = controlled
        self.credentials = CredentialStore(secrets.credentials)
        self.clock: Clock = SystemClock() if controlled is None else controlled.clock
        self.running_ns = time.monotonic_ns if controlled is None else controlled.clock.running_ns
        self.randomness: Randomness = SystemRandomness() if controlled is None else controlled.ids.of_resources
        self.connection_randomness: Randomness = (
            self.randomness if controlled is None else controlled.ids.of_connections
        )
        self.host, self.port = sockets.http.getsockname()[:2]
        self.public_url = public_base_url(settings, port=self.port)
        self.version = metadata.version("stagebook")
        self._lock = lock
        self._media_user = media_process_user(settings)
        # Most tests use no media, and a test run starts servers all the time. A LiveKit server has media of its own.
        self._starts_media_on_demand = controlled is not None or watched is not None
        self._watched = watched
        self.room_history: WatchedRooms | None = None
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
            if self.controlled is not None:
                # An earlier run may have moved its clock.
                self.controlled.clock.start_at(self.book.last_time_ms())
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
        self.livekit = await self._start_livekit(parts)
        self.engines = EnginePool(
            engine_settings(self.settings, host=self.host),
            processes=self.settings.media_processes,
            user=self._media_user,
            on_demand=self._starts_media_on_demand or self.livekit is not None,
        )
        # The processes take about as long to start as recovery takes for thousands of participants: side by side.
        engines_start = asyncio.create_task(self.engines.start())
        parts.push_async_callback(self.engines.stop)
        parts.callback(engines_start.cancel)
        self.compositions = build_compositions(
            self.settings,
            engines=self.engines,
            folder=self.folder,
            user=self._media_user,
            cores=_usable_cores(),
        )
        parts.push_async_callback(self.compositions.stop)
        self.recorders = build_recorders(self.settings, engines=self.engines, folder=self.folder, user=self._media_user)
        parts.push_async_callback(self.recorders.stop)
        self.ingest = self._build_ingest()
        self.manager = build_stage_manager(
            self.settings,
            book=self.book,
            media=self._media(),
            recording=self._recorder(),
            composition=self._composer(),
            secrets=self.secrets,
            endpoints=public_endpoints(self.settings, public_url=self.public_url, sockets=self.sockets),
            clock=self.clock,
            randomness=self.randomness,
            test_keys=None if self.controlled is None else self.controlled.keys,
            connection_randomness=self.connection_randomness,
        )
        self.retention = build_retention(self.settings, book=self.book, manager=self.manager)
        if self.retention.is_configured and not self.book.can_shrink:
            await self._make_book_shrinkable()
        if self._watched is not None:
            self.room_history = await watched_rooms(
                self.manager, self._watched, account_id=self.secrets.access_key.account_id
            )
            parts.push_async_callback(self.room_history.stop)
        recovered = await self.manager.start()
        if self.room_history is not None:
            self.room_history.start()
        await engines_start
        self.compositions.complete_leftovers()
        await self.recorders.start()
        if recovered:
            _log.warning("sessions left open by the last run were ended", sessions=recovered)

    async def _start_livekit(self, parts: AsyncExitStack) -> "LiveKitMedia | None":
        """Return LiveKit as the media engine, if the settings say so. Raises ConfigError if it cannot be used."""
        if self.settings.media_engine != "livekit":
            return None
        try:
            # Late: it needs the extra, and its libraries take long to load.
            from stagebook.server.media_engine.livekit_wiring import LiveKitMedia
        except ImportError as error:
            rule = f"livekit needs the extra: pip install 'stagebook[livekit]' ({error})"
            raise ConfigError(name="media_engine", rule=rule) from error
        media = LiveKitMedia(self.settings, page_token_secret=self.secrets.page_token_secret, user=self._media_user)
        parts.push_async_callback(media.stop)
        await media.start()
        return media

    @property
    def media_description(self) -> str:
        """What forwards media, for the operator."""
        return self.engines.describe() if self.livekit is None else self.livekit.engine.describe()

    def _media(self) -> MediaEngine:
        """Return the real engines, and with `--testing` those of participants without media as well."""
        real = MediaRouter(self.engines if self.livekit is None else self.livekit.engine, self.ingest)
        if self.controlled is None:
            return real
        return MixedMedia(real, self.controlled.simulated, SilentFeeds(self.engines))

    def _recorder(self) -> RecordingEngine:
        """Return the real recorder, and with `--testing` that of participants without media as well."""
        real = self.recorders if self.livekit is None else self.livekit.recorder
        return real if self.controlled is None else self.controlled.with_recorder(real)

    def _composer(self) -> CompositionEngine | None:
        """Return the real composer, and with `--testing` that of participants without media as well.

        With LiveKit there is none: nothing hands out the media of a source.
        """
        if self.livekit is not None:
            return None
        return self.compositions if self.controlled is None else self.controlled.with_composer(self.compositions)

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
        self.event_log = SqliteEventLog.open(self.folder.book_path)
        parts.callback(self.event_log.close)
        live = LiveEvents(self.event_log, heartbeat_seconds=self.settings.watch_heartbeat_seconds)
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
            on_demand=self._starts_media_on_demand,
        )

    def _start_webhooks(self, parts: AsyncExitStack) -> None:
        """Deliver events from now on, also those of recovery. Raises ConfigError for a destination of the settings."""
        self.webhooks = webhook_service(self.folder, event_clock=self.clock)
        use_webhook_settings(self.settings, self.webhooks, account_id=self.secrets.access_key.account_id)
        self.delivery = build_webhook_delivery(self.settings, self.folder)
        self.delivery.start()
        parts.push_async_callback(self.delivery.stop)
        self.book.on_durable(self.delivery.note_durable)


def _usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
