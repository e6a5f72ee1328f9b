"""Metrics of the APIs: requests by operation and status, their durations, and the open connections."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from stagebook.api.request_counts import RequestCounts


class RequestMetrics:
    """Reads the counts of all APIs.

    `connections` and `websockets` return how many are open, `refused` the requests that reached no API by status; 0
    stands for connections that were closed without a response.
    """

    def __init__(
        self,
        apis: Sequence[RequestCounts],
        *,
        connections: Callable[[], int],
        websockets: Callable[[], int],
        refused: Callable[[], Mapping[int, int]],
    ) -> None:
        self._refused = refused
        self._apis = apis
        self._connections = connections
        self._websockets = websockets

    def __call__(self) -> Iterator[Metric]:
        """Yield the families."""
        requests = CounterMetricFamily(
            "stagebook_api_requests",
            "Requests that were answered, and websockets that were opened, by operation and HTTP status.",
            labels=("api", "operation", "status"),
        )
        for api in self._apis:
            for operation, counts in api:
                for status, count in sorted(counts.by_status.items()):
                    requests.add_metric((api.api, operation, str(status)), count)
        yield requests
        durations = HistogramMetricFamily(
            "stagebook_api_request_seconds",
            "Time from the head of a request to its complete response, without websockets and streams.",
            labels=("api", "operation"),
        )
        for api in self._apis:
            for operation, counts in api:
                if counts.latency.count:
                    buckets = list(counts.latency.cumulative())
                    durations.add_metric((api.api, operation), buckets, counts.latency.sum_seconds)
        yield durations
        refused = CounterMetricFamily(
            "stagebook_http_refused_requests",
            "Requests that no API got, because they were malformed, too large, too slow or too many.",
            labels=("status",),
        )
        for status, count in sorted(self._refused().items()):
            refused.add_metric((str(status) if status else "closed",), count)
        yield refused
        yield GaugeMetricFamily(
            "stagebook_http_connections", "Open HTTP connections and websockets.", value=self._connections()
        )
        yield GaugeMetricFamily("stagebook_websockets", "Open websockets.", value=self._websockets())
