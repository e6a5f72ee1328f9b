"""Metrics of the webhooks: what waits for each destination, and what has become of the rest.

The label is the id of a destination, which an operator makes. There are as many label values as enabled destinations,
whose number is limited; one that is disabled or removed is not shown.
"""

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stagebook.book.changes import sequence_time_ms
from stagebook.webhooks.delivery_records import Backlog

_LABELS: Final = ("destination",)
_GAUGES: Final = (
    ("backlog_events", "pending", "Events that wait for delivery, as far as they have been read from the book."),
    ("blocked_sessions", "blocked_sessions", "Stage sessions whose next event could not be delivered yet."),
)
_COUNTERS: Final = (
    ("delivered_events", "delivered", "Events that were delivered since the destination was made."),
    ("failed_attempts", "failed_attempts", "Attempts to deliver that failed since the destination was made."),
    ("dead_letters", "dead", "Events that were given up since the destination was made."),
)


class WebhookMetrics:
    """Reads the backlogs. `backlogs` returns them by destination, and must not block; `now_ms` is the wall clock."""

    def __init__(self, backlogs: Callable[[], Mapping[str, Backlog]], *, now_ms: Callable[[], int]) -> None:
        self._backlogs = backlogs
        self._now_ms = now_ms

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        backlogs = sorted(self._backlogs().items())
        for kind, families in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
            for name, member, text in families:
                family = kind(f"stagebook_webhook_{name}", text, labels=_LABELS)
                for destination, backlog in backlogs:
                    family.add_metric((destination,), attrgetter(member)(backlog))
                yield family
        ages = GaugeMetricFamily(
            "stagebook_webhook_backlog_age_seconds", "Age of the oldest event that waits for delivery.", labels=_LABELS
        )
        for destination, backlog in backlogs:
            ages.add_metric((destination,), self._age_seconds(backlog.oldest_sequence))
        yield ages

    def _age_seconds(self, sequence: int | None) -> float:
        return 0.0 if sequence is None else max(0, self._now_ms() - sequence_time_ms(sequence)) / 1_000
