"""Metrics of LiveKit, as the media engine or as the server whose history is recorded: its webhooks and polls."""

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stagebook.api.livekit_counts import LiveKitCounts


class LiveKitMetrics:
    """Reads the counts. `counts` returns None on a server without LiveKit, and must not block."""

    def __init__(self, counts: Callable[[], LiveKitCounts | None]) -> None:
        self._counts = counts

    def __call__(self) -> Iterator[Metric]:
        """Yield the families; none without LiveKit."""
        counts = self._counts()
        if counts is None:
            return
        yield _by_result(
            "webhooks",
            "Webhooks of LiveKit.",
            {
                "accepted": counts.accepted_webhooks,
                "repeated": counts.repeated_webhooks,
                "refused": counts.refused_webhooks,
            },
        )
        yield _by_result(
            "polls", "Polls of LiveKit.", {"answered": counts.answered_polls, "failed": counts.failed_polls}
        )
        age = GaugeMetricFamily("stagebook_livekit_answer_age_seconds", "Time since the last poll that was answered.")
        if counts.answer_age_seconds is not None:
            age.add_metric((), counts.answer_age_seconds)
        yield age
        up = GaugeMetricFamily(
            "stagebook_livekit_up", "Whether LiveKit answers without errors; its state is in /health."
        )
        if counts.is_reachable is not None:
            up.add_metric((), counts.is_reachable)
        yield up


def _by_result(name: str, text: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"stagebook_livekit_{name}", text, labels=("result",))
    for result, value in values.items():
        family.add_metric((result,), value)
    return family
