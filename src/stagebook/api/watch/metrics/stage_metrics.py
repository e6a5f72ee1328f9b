"""Metrics of what is live on the stages. Numbers only: no stage and no participant is named."""

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stagebook.manager.session.session_registry import LiveTotals


class StageMetrics:
    """Reads the metrics of the stages."""

    def __init__(self, *, totals: Callable[[], LiveTotals], unknown_stream_keys: Callable[[], int]) -> None:
        """`totals` returns what is live now.

        `unknown_stream_keys` returns how many encoders were refused because their key names no attached configuration.
        """
        self._totals = totals
        self._unknown_stream_keys = unknown_stream_keys

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        live = self._totals()
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
            value=self._unknown_stream_keys(),
        )
