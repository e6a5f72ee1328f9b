"""The parts of a running server below HTTP: the book, the stage manager, the media processes, the readers of the book.

start:  traces -> book -> history processes, live tail
        -> engine processes and stage manager (recovery), side by side -> recorder process, if one is needed
        -> webhooks -> ingest processes
end:    in the reverse order
"""

import os
import time
from contextlib import AsyncExitStack
from functools import partial
from importlib import metadata
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec
import structlog

from stagebook.api.access.sigv4.credentials import CredentialStore
from stagebook.api.livekit_counts import LiveKitCounts
from stagebook.api.watch.health import LiveKitHealth
from stagebook.api.watch.live_tail.live_events import LiveEvents
from stagebook.book.book_pages import BookPages
from stagebook.book.book_source import BookSource
from stagebook.book.composition_log import FollowedLog
from stagebook.book.decision_book import DecisionBook
from stagebook.book.server_book import ServerBook
from stagebook.book.sqlite.book_lock import BookLock
from stagebook.book.sqlite.open_readers import open_event_log
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.book.sqlite.sqlite_pages import SqlitePages
from stagebook.book.tables.followed_logs import ImmediateLog
from stagebook.book.tables.table_event_log import TableEventLog
from stagebook.config.settings import Settings
from stagebook.data_folder.secrets import DataFolder
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.history.search.search_indexer import SearchIndexer
from stagebook.manager.retention import Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.server.controlled_parts import ControlledParts
from stagebook.server.garbage_collection import tune_garbage_collection
from stagebook.server.listen_sockets import ListenSockets
from stagebook.server.media_engine.media_parts import MediaParts
from stagebook.server.server_secrets import ServerSecrets
from stagebook.server.system_clock import SystemClock, SystemRandomness
from stagebook.server.telemetry.start_traces import start_traces
from stagebook.server.webhook_wiring import (
    build_webhook_delivery,
    use_webhook_settings,
    webhook_service,
)
from stagebook.server.wiring import build_retention, build_stage_manager, public_base_url, public_endpoints
from stagebook.stage.clock import Clock, Randomness
from stagebook.webhooks.delivery.delivery_process import WebhookDelivery
from stagebook.webhooks.webhook_service import WebhookService

if TYPE_CHECKING:
    from stagebook.livekit_history.watched_livekit import WatchedLiveKit
    from stagebook.server.cluster.node_parts import NodeParts
    from stagebook.server.livekit.watched_rooms import WatchedRooms

_log = structlog.get_logger(__name__)


class ServerParts:
    """Entering the context starts the parts, leaving it stops them."""

    book: ServerBook
    decisions: DecisionBook
    pages: BookPages
    source: BookSource
    event_log: TableEventLog
    history: HistoryProcesses
    live: LiveEvents
    media: MediaParts
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
        watched: "WatchedLiveKit | None" = None,
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
        self._watched = watched
        self.room_history: WatchedRooms | None = None
        self.node: NodeParts | None = None
        """What only a server with a book in a database has."""
        self._started = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # Recovery makes hundreds of thousands of values at once: with the default thresholds, a quarter of its time
        # would go to collections that find nothing.
        tune_garbage_collection()
        async with AsyncExitStack() as parts:
            self.traces = start_traces(self.settings.otlp_endpoint, version=self.version, environment=os.environ)
            if self.traces is not None:
                parts.push_async_callback(self.traces.close)
            if self.settings.book == "postgres":
                self._open_database(parts)
            else:
                self._open_file(parts)
            if self.traces is not None:
                self.book.observe_commits(self.traces.commits(system="sqlite" if self.node is None else "postgresql"))
            if self.controlled is not None:
                # An earlier run may have moved its clock.
                self.controlled.clock.start_at(self.book.last_time_ms())
            self.history = self._start_history(parts)
            self.live = self._start_live_events(parts)
            await self._start_stages(parts)
            self._start_webhooks(parts)
            await self.media.start_ingest(parts)
            self._started = parts.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started.aclose()

    def _open_database(self, parts: AsyncExitStack) -> None:
        # Imported late: other servers do not have its libraries.
        from stagebook.server.cluster.node_parts import NodeParts

        internal = self.sockets.internal
        self.node = NodeParts(
            self.settings, folder=self.folder, internal_port=None if internal is None else internal.getsockname()[1]
        )
        self.node.open(parts)
        self.book, self.decisions, self.pages = self.node.book, self.node.decisions, self.node.pages
        self.source = self.node.source

    def _open_file(self, parts: AsyncExitStack) -> None:
        book = SqliteBook.open(
            self.folder.book_path,
            read_secret=partial(self.folder.stream_key_secret, randomness=SystemRandomness()),
            lock=self._lock,
            show_deleted_history=self.settings.deleted_stage_history,
        )
        parts.push_async_callback(book.close)
        self.book = self.decisions = book
        self.pages = SqlitePages(book)
        self.source = self.folder.book_path

    async def _start_stages(self, parts: AsyncExitStack) -> None:
        """Start the media engines and the stage manager, which ends what an interrupted run has left open."""
        self.media = MediaParts(
            self.settings,
            folder=self.folder,
            page_token_secret=self.secrets.page_token_secret,
            sockets=self.sockets,
            controlled=self.controlled,
            # Most tests use no media, and a test run starts servers all the time. A watched LiveKit has its own media.
            on_demand=self.controlled is not None or self._watched is not None,
        )
        await self.media.open(parts)
        self.manager = self._build_manager()
        self.retention = build_retention(self.settings, book=self.book, manager=self.manager)
        if self.retention.is_configured and not self.book.can_shrink:
            await self._make_book_shrinkable()
        if self._watched is not None:
            self.room_history = await self._observe_rooms(self._watched, parts)
        recovered = await self._start_manager(parts)
        if self.room_history is not None:
            self.room_history.start()
        await self.media.finish_start()
        if recovered:
            _log.warning("sessions left open by the last run were ended", sessions=recovered)

    def _build_manager(self) -> StageManager:
        return build_stage_manager(
            self.settings,
            book=self.decisions,
            media=self.media.engine(),
            recording=self.media.recorder(),
            composition=self.media.composer(),
            secrets=self.secrets,
            endpoints=public_endpoints(self.settings, public_url=self.public_url, sockets=self.sockets),
            clock=self.clock,
            randomness=self.randomness,
            test_keys=None if self.controlled is None else self.controlled.keys,
            connection_randomness=self.connection_randomness,
        )

    async def _observe_rooms(self, watched: "WatchedLiveKit", parts: AsyncExitStack) -> "WatchedRooms":
        """Let the stage manager know the rooms of a LiveKit server. They are recorded once it has started."""
        # Imported late: other servers do not need it.
        from stagebook.server.livekit.watched_rooms import watched_rooms

        rooms = await watched_rooms(
            self.manager,
            watched,
            book=self.book if self.node is None else self.node.open_reader(parts),
            account_id=self.secrets.access_key.account_id,
            is_distant=self.node is not None,
        )
        parts.push_async_callback(rooms.stop)
        return rooms

    async def _start_manager(self, parts: AsyncExitStack) -> int:
        """Start the stage manager; return how many open sessions it has ended.

        A node recovers each account when it takes it, and returns 0 here.
        """
        if self.node is None:
            return await self.manager.start()
        await self.media.note_former()
        self.manager.listen()
        self.node.start_accounts(self.manager, parts, end_former_media=self.media.end_former_media)
        if self.room_history is not None:
            await self.node.take_account(self.secrets.access_key.account_id)
        return 0

    def livekit_counts(self) -> LiveKitCounts | None:
        """Return what was received from LiveKit; None on a server without it."""
        if self.room_history is not None:
            return self.room_history.counts()
        return None if self.media.livekit is None else self.media.livekit.counts()

    def livekit_health(self) -> LiveKitHealth | msgspec.UnsetType | None:
        """Return whether LiveKit can be reached; UNSET on a server without it."""
        if self.room_history is not None:
            return self.room_history.reachability.health()
        return msgspec.UNSET if self.media.livekit is None else self.media.livekit.reachability.health()

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
        history = HistoryProcesses(self.source, processes=self.settings.watch_processes)
        parts.push_async_callback(history.close)
        if self.node is not None:
            # A database is searched in its tables.
            return history
        indexer = SearchIndexer(history)
        self.book.on_durable(indexer.note_durable)
        indexer.start()
        parts.push_async_callback(indexer.stop)
        return history

    def _start_live_events(self, parts: AsyncExitStack) -> LiveEvents:
        log: FollowedLog
        if self.node is None:
            self.event_log = open_event_log(self.folder.book_path)
            parts.callback(self.event_log.close)
            log = ImmediateLog(self.event_log)
        else:
            log = self.node.log
        live = LiveEvents(log, heartbeat_seconds=self.settings.watch_heartbeat_seconds)
        self.book.on_durable(live.note_durable)
        live.start()
        parts.push_async_callback(live.end)
        return live

    def _start_webhooks(self, parts: AsyncExitStack) -> None:
        """Deliver events from now on, also those of recovery. Raises ConfigError for a destination of the settings."""
        secret = self.folder.webhook_secret(randomness=SystemRandomness())
        self.webhooks = webhook_service(self.folder, self.source, secret=secret, event_clock=self.clock)
        use_webhook_settings(self.settings, self.webhooks, account_id=self.secrets.access_key.account_id)
        self.delivery = build_webhook_delivery(
            self.settings,
            self.folder,
            self.source,
            secret=secret,
            run_id=None if self.node is None else self.node.book.run_id,
        )
        self.delivery.start()
        parts.push_async_callback(self.delivery.stop)
        self.book.on_durable(self.delivery.note_durable)
