"""Metrics of the engine and ingest processes, by the number of the process.

An engine reports its counters every two seconds (`engine_statistics`), so these values may be that old. What an engine
had counted before it was lost stays in its totals.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Final, TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stagebook.media.ingest.processes.ingest_pool import IngestPool
from stagebook.media.rtc.engine.engine_pool import EnginePool
from stagebook.media.rtc.engine.engine_worker import EngineWorker
from stagebook.media.worker.worker_process import WorkerProcess

_MEDIA_COUNTERS: Final = (
    ("missing_packets", "RTP packets of publishers that had not arrived when a later one did."),
    ("recovered_packets", "Missing packets that arrived later, by retransmission or out of order."),
    ("requested_packets", "Requests for a missing packet, by NACK, to publishers."),
    ("requested_keyframes", "Requests for a keyframe, by PLI or FIR, to publishers."),
    ("feed_units", "Video frames and audio packets that encoders sent."),
    ("feed_bytes", "Payload bytes that encoders sent, audio as Opus."),
    ("sent_packets", "RTP packets sent to viewers, without retransmissions."),
    ("sent_bytes", "Bytes of the RTP packets sent to viewers, without retransmissions."),
    ("lost_packets", "RTP packets that viewers reported as lost, in receiver reports."),
    ("nacked_packets", "RTP packets that viewers requested again, by NACK."),
    ("resent_packets", "Retransmissions to viewers."),
    ("resent_bytes", "Bytes of the retransmissions to viewers."),
    ("keyframe_requests", "Requests for a keyframe, by PLI or FIR, of viewers."),
)
_TRANSPORT_COUNTERS: Final = (
    ("received_packets", "RTP packets received from publishers over WebRTC, retransmissions included."),
    ("received_bytes", "Bytes of the RTP packets received from publishers over WebRTC."),
    ("verified_tcp_connections", "TCP connections of media whose first packet proved that the peer has an answer."),
    ("refused_tcp_connections", "TCP connections of media that were closed: not verified, or beyond a limit."),
    ("dropped_tcp_packets", "Packets to peers over TCP that were dropped because the line or the peer was too slow."),
)
_DROP_REASONS: Final = {
    "unknown_datagrams": "unknown",
    "delayed_handshakes": "too_many_handshakes",
    "unnegotiated_packets": "not_negotiated",
    "packets_over_limit": "over_limit",
    "rejected_srtp_packets": "not_authentic",
    "unknown_ssrc_packets": "too_many_ssrcs",
}


class EngineMetrics:
    """Reads the metrics of the engine processes."""

    def __init__(self, pool: EnginePool) -> None:
        self._pool = pool

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        engines = self._pool.engines
        gauge = partial(_family, GaugeMetricFamily, engines, "engine")
        counter = partial(_family, CounterMetricFamily, engines, "engine")
        yield gauge("up", "Whether the engine process runs.", lambda each: each.is_running)
        yield counter("exits", "Times that the engine process exited by itself.", lambda each: each.losses)
        yield counter("cpu_seconds", "CPU time of the engine process.", lambda each: each.statistics.cpu_seconds)
        yield gauge("sources", "Publications that the engine serves.", lambda each: each.statistics.sources)
        yield _connections(engines)
        yield gauge(
            "connecting", "WebRTC connections whose handshake is not complete.", lambda each: each.statistics.connecting
        )
        yield gauge("tcp_connections", "Open TCP connections of media.", lambda each: each.statistics.tcp_connections)
        for name, text in _TRANSPORT_COUNTERS:
            yield counter(name, text, attrgetter(f"statistics.transport.{name}"))
        for name, text in _MEDIA_COUNTERS:
            yield counter(name, text, attrgetter(f"statistics.media.{name}"))
        yield _dropped(engines)


class IngestMetrics:
    """Reads the metrics of the ingest processes. Without ingest (None) those by process have no samples."""

    def __init__(self, pool: IngestPool | None) -> None:
        self._pool = pool

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        workers = () if self._pool is None else self._pool.workers
        gauge = partial(_family, GaugeMetricFamily, workers, "ingest")
        yield gauge("up", "Whether the ingest process runs.", lambda each: each.is_running)
        yield _family(
            CounterMetricFamily,
            workers,
            "ingest",
            "exits",
            "Times that the ingest process exited by itself.",
            lambda each: each.losses,
        )
        yield gauge(
            "connections", "Open RTMP connections, those without a stream included.", lambda each: each.connection_count
        )
        yield gauge("streams", "Encoders that publish.", lambda each: each.stream_count)
        yield gauge(
            "overloaded",
            "Whether the process refuses encoders because it has no time left.",
            lambda each: each.is_overloaded,
        )
        yield CounterMetricFamily(
            "stagebook_ingest_shed_encoders",
            "Encoders that were refused because every ingest process was full or overloaded.",
            value=0 if self._pool is None else self._pool.load.shed_encoders,
        )


_WorkerT = TypeVar("_WorkerT", bound=WorkerProcess)


def _family(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    workers: Sequence[_WorkerT],
    group: str,
    name: str,
    text: str,
    value: Callable[[_WorkerT], float],
) -> Metric:
    """Return a family with a sample for each worker, whose label is its number."""
    family = kind(f"stagebook_{group}_{name}", text, labels=(group,))
    for worker in workers:
        family.add_metric((str(worker.number),), value(worker))
    return family


def _connections(engines: Sequence[EngineWorker]) -> Metric:
    family = GaugeMetricFamily(
        "stagebook_engine_connections",
        "Open connections of the engine, those that are connecting included.",
        labels=("engine", "kind"),
    )
    for engine in engines:
        now = engine.statistics
        for kind, count in (("publisher", now.publishers), ("viewer", now.viewers), ("encoder", now.feeds)):
            family.add_metric((str(engine.number), kind), count)
    return family


def _dropped(engines: Sequence[EngineWorker]) -> Metric:
    family = CounterMetricFamily(
        "stagebook_engine_dropped_datagrams",
        "Datagrams that the engine received and could not use, by reason.",
        labels=("engine", "reason"),
    )
    for engine in engines:
        for name, reason in _DROP_REASONS.items():
            family.add_metric((str(engine.number), reason), getattr(engine.statistics.transport, name))
    return family
