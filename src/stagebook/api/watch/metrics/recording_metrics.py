"""Metrics of the recordings of participants and of the recorder process.

The process reports what it uses every two seconds (`recorder_statistics`). What an earlier process had counted stays in
the totals.
"""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stagebook.media.recording.processes.recorder_pool import RecorderPool
from stagebook.media.recording.processes.recorder_statistics import (
    NO_RECORDER_STATISTICS,
    RecorderStatistics,
    RecordingCounts,
)


class CountedRecorder(Protocol):
    """Has recordings, and counts their outcomes."""

    @property
    def counts(self) -> RecordingCounts:
        """What has become of recordings."""

    @property
    def recording_count(self) -> int:
        """How many recordings run."""


class RecordingMetrics:
    """Reads the metrics of the recorder process and of all recordings."""

    def __init__(self, pool: RecorderPool, *, simulated: CountedRecorder | None = None) -> None:
        """`simulated` has the recordings without media of a server with `--testing`. They count as the others do."""
        self._pool = pool
        self._recorders: tuple[CountedRecorder, ...] = (pool,) if simulated is None else (pool, simulated)

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        yield GaugeMetricFamily(
            "stagebook_recordings",
            "Recordings that run, those whose last objects are being stored included.",
            value=sum(each.recording_count for each in self._recorders),
        )
        yield CounterMetricFamily(
            "stagebook_recordings_ended",
            "Recordings that ended and are stored completely.",
            value=sum(each.counts.ended for each in self._recorders),
        )
        failed = CounterMetricFamily(
            "stagebook_recordings_failed",
            "Recordings that failed, at their start or later, by error code.",
            labels=("error_code",),
        )
        for fault in self._pool.counts.failed:
            count = sum(each.counts.failed[fault] for each in self._recorders)
            failed.add_metric(("" if fault is None else fault.value,), count)
        yield failed
        yield from self._process()

    def _process(self) -> Iterator[Metric]:
        worker = self._pool.worker
        statistics = NO_RECORDER_STATISTICS if worker is None else worker.statistics
        yield GaugeMetricFamily(
            "stagebook_recorder_up",
            "Whether the recorder process runs; it starts with the first recording.",
            value=worker is not None and worker.is_running,
        )
        yield CounterMetricFamily(
            "stagebook_recorder_starts",
            "Times that the recorder process has started.",
            value=0 if worker is None else worker.starts,
        )
        yield CounterMetricFamily(
            "stagebook_recorder_exits",
            "Times that the recorder process exited by itself.",
            value=0 if worker is None else worker.losses,
        )
        yield CounterMetricFamily(
            "stagebook_recorder_cpu_seconds", "CPU time of the recorder process.", value=statistics.cpu_seconds
        )
        yield GaugeMetricFamily(
            "stagebook_recorder_waiting_bytes",
            "Bytes of recordings that wait for the store, on disk.",
            value=statistics.waiting_bytes,
        )
        yield CounterMetricFamily(
            "stagebook_recorder_failed_uploads",
            "Attempts to store an object of a recording that failed.",
            value=statistics.failed_attempts,
        )
        yield from _leftovers(statistics)


def _leftovers(statistics: RecorderStatistics) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "stagebook_recorder_leftovers",
        "Recordings that are over and of which the store has not taken all objects yet.",
        value=statistics.left_uploads,
    )
    yield GaugeMetricFamily(
        "stagebook_recorder_oldest_leftover_seconds",
        "How long the oldest of them has waited.",
        value=statistics.oldest_left_seconds,
    )
    yield CounterMetricFamily(
        "stagebook_recorder_abandoned",
        "Recordings whose objects were deleted before the store had all of them.",
        value=statistics.abandoned_uploads,
    )
