"""The wiring of `/metrics`: the parts of the server that are measured, and who may scrape."""

from stagebook.api.access.local_hosts import LocalHosts
from stagebook.api.routes.api_route import ApiAccess
from stagebook.api.watch.metrics.book_metrics import BookMetrics
from stagebook.api.watch.metrics.composition_metrics import CompositionMetrics
from stagebook.api.watch.metrics.livekit_metrics import LiveKitMetrics
from stagebook.api.watch.metrics.media_metrics import EngineMetrics, IngestMetrics
from stagebook.api.watch.metrics.metrics_access import MetricsAccess
from stagebook.api.watch.metrics.metrics_endpoint import MetricsEndpoint
from stagebook.api.watch.metrics.node_metrics import NodeMetrics
from stagebook.api.watch.metrics.process_metrics import ProcessMetrics
from stagebook.api.watch.metrics.recording_metrics import RecordingMetrics
from stagebook.api.watch.metrics.request_metrics import RequestMetrics
from stagebook.api.watch.metrics.retention_metrics import RetentionMetrics
from stagebook.api.watch.metrics.stage_metrics import StageMetrics
from stagebook.api.watch.metrics.watch_metrics import WatchMetrics
from stagebook.api.watch.metrics.webhook_metrics import WebhookMetrics
from stagebook.config.settings import Settings
from stagebook.server.metrics.measured_server import MeasuredServer
from stagebook.server.system_clock import SystemClock


def build_metrics(settings: Settings, server: MeasuredServer, *, keys: ApiAccess, started_at: float) -> MetricsEndpoint:
    """Return the endpoint. `started_at` is the start of the server, in seconds since 1970.

    `keys` authenticates clients outside the setting `metrics_networks`.
    """
    # Not the host of `public_url`: a request that names it may have come through a proxy.
    hosts = LocalHosts((settings.address.host,))
    return MetricsEndpoint(
        (
            ProcessMetrics(version=server.version, started_at=started_at),
            BookMetrics(server.book, path=server.book_path),
            RetentionMetrics(lambda: server.retention.status),
            StageMetrics(
                totals=server.manager.live.totals, unknown_stream_keys=lambda: server.manager.unknown_stream_keys
            ),
            RequestMetrics(
                server.requests.all,
                connections=server.connections,
                websockets=server.websockets,
                refused=server.refused,
            ),
            WatchMetrics(server.history, event_streams=server.event_streams),
            EngineMetrics(server.engines),
            IngestMetrics(server.ingest),
            RecordingMetrics(server.recorders, simulated=server.simulated_recorder),
            CompositionMetrics(server.compositions, simulated=server.simulated_composer),
            LiveKitMetrics(server.livekit),
            NodeMetrics(server.node),
            WebhookMetrics(server.webhook_backlogs, now_ms=SystemClock().now_ms),
        ),
        access=MetricsAccess(networks=settings.metrics_networks, allows_host=hosts.allow, keys=keys),
    )
