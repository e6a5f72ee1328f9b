"""Metrics of retention: what was deleted, when the last run ended, and how old the oldest event is."""

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stagebook.manager.retention import RetentionStatus


class RetentionMetrics:
    """Reads the status of retention."""

    def __init__(self, status: Callable[[], RetentionStatus]) -> None:
        self._status = status

    def __call__(self) -> Iterator[Metric]:
        """Yield the families. Those of a time have no sample before the first run has ended."""
        status = self._status()
        rows = CounterMetricFamily(
            "stagebook_retention_deleted_rows", "Rows of the book that were deleted by age.", labels=("table",)
        )
        for table, count in sorted(status.deleted_rows.items()):
            rows.add_metric((table,), count)
        yield rows
        yield CounterMetricFamily(
            "stagebook_retention_freed_bytes",
            "Bytes by which the book became shorter after deletions.",
            value=status.freed_bytes,
        )
        yield _time("last_run", "Time at which all that is old was last deleted.", status.last_run_ms)
        yield _time("oldest_event", "Time of the oldest event after the last run.", status.oldest_event_ms)


def _time(name: str, documentation: str, time_ms: int | None) -> Metric:
    family = GaugeMetricFamily(f"stagebook_retention_{name}_timestamp_seconds", documentation, labels=())
    if time_ms is not None:
        family.add_metric((), time_ms / 1_000)
    return family
