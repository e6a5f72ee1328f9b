"""Metrics of what is live on the stages. Numbers only: no stage and no participant is named."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stagebook.manager.session.session_registry import LiveTotals


class MeasuredStages(Protocol):
    """What the stage manager knows about the stages."""

    def live_totals(self) -> LiveTotals:
        """Return the numbers of sessions, participants, publishers and subscriptions that are live now."""

    @property
    def unknown_stream_keys(self) -> int:
        """How many encoders were refused because their stream key names no attached configuration."""


class StageMetrics:
    """Reads the metrics of the stages."""

    def __init__(self, stages: MeasuredStages) -> None:
        self._stages = stages

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        live = self._stages.live_totals()
        for name, value, text in (
            ("sessions", live.sessions, "Stage sessions that are running, those that begin or linger included."),
            ("participants", live.participants, "Participants that are connected to a stage, replicas included."),
            ("publishers", live.publishers, "Participants that publish or are connecting to publish."),
            ("subscriptions", live.subscriptions, "Subscriptions, those that are connecting included."),
        ):
            yield GaugeMetricFamily(f"stagebook_{name}", text, value=value)
        yield CounterMetricFamily(
            "stagebook_unknown_stream_keys",
            "Encoders that were refused because their stream key belongs to no stage.",
            value=self._stages.unknown_stream_keys,
        )
