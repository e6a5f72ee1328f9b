"""Metrics of the webhooks: what waits for each destination.

The label is the name of a destination, which the operator chooses. There are as many label values as destinations,
whose number is limited; one that is deleted is no longer shown.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec
from prometheus_client.metrics_core import GaugeMetricFamily, Metric


class DestinationBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a destination: the number of events, and the age of the oldest one in seconds, 0 if none waits."""

    events: int
    oldest_age_seconds: float


class WebhookMetrics:
    """Reads the backlog. `backlogs` returns it by the name of the destination, and must not block."""

    def __init__(self, backlogs: Callable[[], Mapping[str, DestinationBacklog]]) -> None:
        self._backlogs = backlogs

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        events = GaugeMetricFamily(
            "stagebook_webhook_backlog_events",
            "Events that wait for delivery to a webhook destination.",
            labels=("destination",),
        )
        ages = GaugeMetricFamily(
            "stagebook_webhook_backlog_age_seconds",
            "Age of the oldest event that waits for a webhook destination.",
            labels=("destination",),
        )
        for name, backlog in sorted(self._backlogs().items()):
            events.add_metric((name,), backlog.events)
            ages.add_metric((name,), backlog.oldest_age_seconds)
        yield events
        yield ages
