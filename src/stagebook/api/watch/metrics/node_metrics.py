"""Metrics of a node of a cluster: its accounts and lease, what it sends on to other nodes, and the database."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from stagebook.api.node_state import MeasuredNode


class NodeMetrics:
    """Reads the metrics. `measured` returns None on a server with a SQLite book, and must not block."""

    def __init__(self, measured: Callable[[], MeasuredNode | None]) -> None:
        self._measured = measured

    def __call__(self) -> Iterator[Metric]:
        """Yield the families; none with a SQLite book."""
        node = self._measured()
        if node is None:
            return
        health = node.health
        yield InfoMetricFamily(
            "stagebook_node",
            "The name and the run of the node.",
            value={"node": health.name, "run": str(health.run_id)},
        )
        yield GaugeMetricFamily("stagebook_node_accounts", "Accounts that the node owns.", value=health.accounts)
        yield GaugeMetricFamily(
            "stagebook_node_lease_seconds",
            "Time until the node stops serving its accounts, unless it renews its run; negative when it is late.",
            value=health.lease_seconds,
        )
        yield _counted("taken_accounts", "Accounts that the node took.", "origin", node.taken_accounts)
        yield _counted("forwarded_requests", "Requests sent on to other nodes.", "kind", node.forwarded)
        yield _counted(
            "forwarding_failures", "Requests that failed on the way to other nodes.", "reason", node.forwarding_failures
        )
        yield _counted("refused_requests", "Requests of other nodes that were refused.", "reason", node.refused)
        waiting = GaugeMetricFamily(
            "stagebook_node_waiting_reads", "Reads that wait for a connection to the database.", labels=("pool",)
        )
        for pool, count in node.waiting_reads.items():
            waiting.add_metric((pool,), count)
        yield waiting
        yield _counted(
            "database_errors", "Statements that the database has not answered or refused.", "part", node.database_errors
        )


def _counted(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"stagebook_node_{name}", text, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family
