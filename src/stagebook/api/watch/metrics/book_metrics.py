"""Metrics of the book: stages, events, the latency of an append, the queue of the writer, and the size of the files."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from stagebook.book.server_book import MeasuredBook


class BookMetrics:
    """Reads the metrics of a book and of its files. `path` is that of the database file."""

    def __init__(self, book: MeasuredBook, *, path: Path) -> None:
        self._book = book
        self._files = {"database": path, "wal": path.with_name(f"{path.name}-wal")}

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        yield GaugeMetricFamily("stagebook_stages", "Stages, without deleted ones.", value=self._book.stage_count)
        events = CounterMetricFamily(
            "stagebook_events",
            "Participant events written since the start, by name and error code.",
            labels=("name", "error_code"),
        )
        for name, error_code, count in self._book.event_counts:
            events.add_metric((name.value, "" if error_code is None else error_code.value), count)
        yield events
        latency = HistogramMetricFamily(
            "stagebook_append_seconds",
            "Time from the submission of a transaction to its durability, for all transactions of a commit that of the "
            "oldest one.",
        )
        observed = self._book.append_latency
        latency.add_metric((), buckets=list(observed.cumulative()), sum_value=observed.sum_seconds)
        yield latency
        yield GaugeMetricFamily(
            "stagebook_append_queue_transactions",
            "Transactions that are submitted and not durable yet.",
            value=self._book.backlog,
        )
        yield self._sizes()

    def _sizes(self) -> Metric:
        family = GaugeMetricFamily("stagebook_book_bytes", "Size of the files of the book.", labels=("file",))
        for name, path in self._files.items():
            try:
                family.add_metric((name,), path.stat().st_size)
            except FileNotFoundError:
                family.add_metric((name,), 0)
        return family
