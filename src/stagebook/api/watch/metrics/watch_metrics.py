"""Metrics of the watch API: the clients of the live tail, and the reads of the history."""

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from stagebook.history.processes.history_processes import HistoryProcesses


class WatchMetrics:
    """Reads the metrics of the watch API. `event_streams` returns how many are open."""

    def __init__(self, history: HistoryProcesses, *, event_streams: Callable[[], int]) -> None:
        self._history = history
        self._event_streams = event_streams

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        reads = GaugeMetricFamily(
            "stagebook_history_reads",
            "Searches and other reads of the history that run or wait for a process.",
            labels=("state",),
        )
        reads.add_metric(("running",), self._history.running_reads)
        reads.add_metric(("waiting",), self._history.waiting_reads)
        yield reads
        yield GaugeMetricFamily(
            "stagebook_event_streams", "Open streams of the live tail.", value=self._event_streams()
        )
