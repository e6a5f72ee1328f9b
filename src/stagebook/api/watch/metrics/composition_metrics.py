"""Metrics of the compositions, as sums over their processes.

Each composition has a process of its own, which reports what it uses every two seconds (`composing_statistics`). What
the processes that have exited had counted stays in the totals.
"""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stagebook.media.composition.composition_port import OutputFault
from stagebook.media.composition.processes.composing_statistics import CompositionCounts
from stagebook.media.composition.processes.composition_pool import CompositionPool


class CountedComposer(Protocol):
    """What has compositions and counts what becomes of them."""

    @property
    def counts(self) -> CompositionCounts:
        """What was reported about compositions."""

    @property
    def composition_count(self) -> int:
        """How many compositions run."""


class CompositionMetrics:
    """Reads the metrics of the compositions."""

    def __init__(self, pool: CompositionPool, *, simulated: CountedComposer | None = None) -> None:
        """`simulated` has the compositions without media of a server with `--testing`. They count as the others do."""
        self._pool = pool
        self._composers: tuple[CountedComposer, ...] = (pool,) if simulated is None else (pool, simulated)

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        yield GaugeMetricFamily(
            "stagebook_compositions",
            "Compositions whose process runs, and those without media.",
            value=sum(each.composition_count for each in self._composers),
        )
        yield CounterMetricFamily(
            "stagebook_compositions_lost",
            "Compositions that failed because their process could not start or exited by itself.",
            value=sum(each.counts.lost for each in self._composers),
        )
        failed = CounterMetricFamily(
            "stagebook_composition_failed_destinations",
            "Destinations of compositions that failed, by error code.",
            labels=("error_code",),
        )
        for fault in OutputFault:
            failed.add_metric((fault.value,), sum(each.counts.failed_outputs[fault] for each in self._composers))
        yield failed
        yield CounterMetricFamily(
            "stagebook_composition_reconnects",
            "Times that the connection of a composition to a channel was lost and is tried again.",
            value=sum(each.counts.reconnects for each in self._composers),
        )
        yield from self._processes()
        yield from self._uploads()

    def _processes(self) -> Iterator[Metric]:
        statistics = self._pool.statistics
        yield CounterMetricFamily(
            "stagebook_composition_cpu_seconds", "CPU time of all composition processes.", value=statistics.cpu_seconds
        )
        yield CounterMetricFamily(
            "stagebook_composition_repeated_frames",
            "Frames that repeat the one before, because the machine was too slow.",
            value=statistics.repeated_frames,
        )
        yield CounterMetricFamily(
            "stagebook_composition_omitted_frames",
            "Frames that were left out, because the machine was too slow.",
            value=statistics.omitted_frames,
        )

    def _uploads(self) -> Iterator[Metric]:
        statistics = self._pool.statistics
        yield GaugeMetricFamily(
            "stagebook_composition_waiting_bytes",
            "Bytes of compositions that wait for the store, on disk.",
            value=statistics.waiting_bytes,
        )
        yield CounterMetricFamily(
            "stagebook_composition_failed_uploads",
            "Attempts to store an object of a composition that failed.",
            value=statistics.failed_attempts,
        )
        left = self._pool.left_spools
        yield GaugeMetricFamily(
            "stagebook_composition_leftovers",
            "Compositions that are over and of which the store has not taken all objects yet.",
            value=len(left.names),
        )
        yield GaugeMetricFamily(
            "stagebook_composition_oldest_leftover_seconds",
            "How long the oldest of them has waited.",
            value=left.oldest_seconds,
        )
        yield CounterMetricFamily(
            "stagebook_composition_abandoned",
            "Outputs of compositions whose objects were deleted before the store had all of them.",
            value=statistics.abandoned_uploads,
        )
