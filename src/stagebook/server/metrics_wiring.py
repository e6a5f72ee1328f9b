"""The wiring of `/metrics`: the parts of the server that are measured, and who may scrape."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from stagebook.api.access.local_hosts import LocalHosts
from stagebook.api.request_counts import RequestCounts
from stagebook.api.watch.metrics.book_metrics import BookMetrics
from stagebook.api.watch.metrics.media_metrics import EngineMetrics, IngestMetrics
from stagebook.api.watch.metrics.metrics_access import MetricsAccess
from stagebook.api.watch.metrics.metrics_endpoint import MetricsEndpoint
from stagebook.api.watch.metrics.process_metrics import ProcessMetrics
from stagebook.api.watch.metrics.request_metrics import RequestMetrics
from stagebook.api.watch.metrics.retention_metrics import RetentionMetrics
from stagebook.api.watch.metrics.stage_metrics import StageMetrics
from stagebook.api.watch.metrics.watch_metrics import WatchMetrics
from stagebook.api.watch.metrics.webhook_metrics import WebhookMetrics
from stagebook.api.watch.watch_route import WatchAccess
from stagebook.book.sqlite.sqlite_book import SqliteBook
from stagebook.config.settings import Settings
from stagebook.history.processes.history_processes import HistoryProcesses
from stagebook.manager.retention import Retention
from stagebook.manager.stage_manager import StageManager
from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.server.system_clock import SystemClock
from stagebook.webhooks.delivery_records import Backlog


class ApiRequests(msgspec.Struct, frozen=True, kw_only=True):
    """The request counts of each API of a server."""

    aws: RequestCounts
    participants: RequestCounts
    watch: RequestCounts

    @classmethod
    def new(cls) -> "ApiRequests":
        """Return counts of no requests."""
        return cls(aws=RequestCounts("aws"), participants=RequestCounts("participants"), watch=RequestCounts("watch"))

    @property
    def all(self) -> Sequence[RequestCounts]:
        """The counts of all APIs."""
        return (self.aws, self.participants, self.watch)


class MeasuredServer(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running server that are measured.

    `connections`, `websockets` and `event_streams` return how many are open, `refused` the requests that the HTTP
    server has refused by status, `webhook_backlogs` what waits for each destination.
    """

    version: str
    book: SqliteBook
    book_path: Path
    manager: StageManager
    retention: Retention
    engines: EnginePool
    ingest: IngestPool | None
    requests: ApiRequests
    connections: Callable[[], int]
    websockets: Callable[[], int]
    event_streams: Callable[[], int]
    refused: Callable[[], Mapping[int, int]]
    history: HistoryProcesses
    webhook_backlogs: Callable[[], Mapping[str, Backlog]] = dict


def build_metrics(settings: Settings, server: MeasuredServer, *, keys: WatchAccess) -> MetricsEndpoint:
    """Return the endpoint. Call it when the server starts: that is the start time that it shows.

    `keys` authenticates clients outside the setting `metrics_networks`.
    """
    # Not the host of `public_url`: a request that names it may have come through a proxy.
    hosts = LocalHosts((settings.address.host,))
    return MetricsEndpoint(
        (
            ProcessMetrics(version=server.version, started_at=time.time()),
            BookMetrics(server.book, path=server.book_path),
            RetentionMetrics(lambda: server.retention.status),
            StageMetrics(server.manager),
            RequestMetrics(
                server.requests.all,
                connections=server.connections,
                websockets=server.websockets,
                refused=server.refused,
            ),
            WatchMetrics(server.history, event_streams=server.event_streams),
            EngineMetrics(server.engines),
            IngestMetrics(server.ingest),
            WebhookMetrics(server.webhook_backlogs, now_ms=SystemClock().now_ms),
        ),
        access=MetricsAccess(networks=settings.metrics_networks, allows_host=hosts.allow, keys=keys),
    )
