"""What is written about the metrics agrees with a scrape: the table for users, the dashboard, and the alerts."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric

from stagebook.api.node_state import DatabaseContactState, MeasuredNode, NodeHealth
from stagebook.api.watch.metrics.node_metrics import NodeMetrics
from tests.e2e.metrics.scraped_metrics import ScrapedMetrics, scrape
from tests.e2e.server import RunningServer

ROOT = Path(__file__).parents[3]
ROW = re.compile(r"^\| `(\w+)` \| (gauge|counter|histogram) \| (.*?) \| (\S.*) \|$", re.MULTILINE)
NAME = re.compile(r"\b(?:stagebook|process)_[a-z_]+\b")
MATCHERS = re.compile(r"\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
OF_PROMETHEUS = {"instance", "job", "le"}
"""Labels that Prometheus adds, and that of a histogram's buckets."""


OF_LIVEKIT = "stagebook_livekit_"
"""Only a server with a LiveKit has these metrics."""
OF_NODE = "stagebook_node_"
"""Only a server with its book in a database has these: `NodeMetrics`, which needs no running node."""


def node_metrics() -> dict[str, Metric]:
    """The metrics of a node, by the names of their samples."""
    health = NodeHealth(
        name="a", run_id=1, accounts=1, database=DatabaseContactState.REACHABLE, lease_seconds=2.5, backlog=0
    )
    counts = {"any": 1}
    measured = MeasuredNode(
        health=health,
        forwarded=counts,
        forwarding_failures=counts,
        refused=counts,
        taken_accounts=counts,
        waiting_reads=counts,
        database_errors=counts,
    )
    return {sample.name: family for family in NodeMetrics(lambda: measured)() for sample in family.samples}


@pytest.fixture(scope="module")
def scraped(server: RunningServer) -> ScrapedMetrics:
    server.client().list_stages()  # a request, so that the families of requests have samples
    return scrape(server.endpoint_url)


def documented() -> dict[str, tuple[str, set[str]]]:
    """The metrics of the table: their types and labels."""
    section = (ROOT / "docs" / "watch.md").read_text().partition("## Metrics")[2].partition("\n## ")[0]
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in ROW.findall(section)}


def sample_names(scraped: ScrapedMetrics) -> set[str]:
    """All names that an expression can use."""
    names = set()
    for name, family in scraped.families.items():
        names |= {name + suffix for suffix in ("_bucket", "_count", "_sum")} if family.type == "histogram" else {name}
    return names


def dashboard() -> Any:  # noqa: ANN401 - decoded JSON
    return json.loads((ROOT / "contrib" / "grafana" / "stagebook.json").read_text())


def expressions() -> Iterator[tuple[str, str]]:
    """The expressions of the dashboard and of the alerts, each with what it is for."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    alerts = (ROOT / "contrib" / "prometheus" / "stagebook-alerts.yml").read_text()
    for block in alerts.split("- alert: ")[1:]:
        yield f"alert {block.split()[0]}", re.split(r"\n +(?:for|labels):", block.partition("expr: ")[2])[0]


def test_the_table_for_users_lists_exactly_the_metrics_of_a_server(scraped: ScrapedMetrics) -> None:
    own = {name: kind for name, (kind, _) in documented().items() if not name.startswith((OF_LIVEKIT, OF_NODE))}
    assert own == {name: family.type for name, family in scraped.families.items()}


def test_the_table_for_users_lists_exactly_the_metrics_of_a_node() -> None:
    found = {
        name: (
            "gauge" if family.type == "info" else family.type,
            {label for sample in family.samples for label in sample.labels},
        )
        for name, family in node_metrics().items()
    }
    assert found == {name: row for name, row in documented().items() if name.startswith(OF_NODE)}


def test_every_label_is_documented(scraped: ScrapedMetrics) -> None:
    table = documented()
    for name, family in scraped.families.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == table[name][1], sample


def test_metrics_have_the_forms_that_prometheus_asks_for(scraped: ScrapedMetrics) -> None:
    for name, family in scraped.families.items():
        assert name.startswith(("stagebook_", "process_"))
        assert name.endswith("_total") == (family.type == "counter"), name
        assert family.documentation.endswith("."), name


@pytest.mark.parametrize(("what", "expression"), list(expressions()))
def test_each_expression_uses_metrics_and_labels_of_a_server(
    scraped: ScrapedMetrics, what: str, expression: str
) -> None:
    names = set(NAME.findall(MATCHERS.sub("", expression))) - {"up"}
    table = documented()
    assert names <= sample_names(scraped) | {name for name in table if name.startswith((OF_LIVEKIT, OF_NODE))}, what
    families = {re.sub("_(bucket|count|sum)$", "", name) if name not in table else name for name in names}
    known = OF_PROMETHEUS.union(*(table[family][1] for family in families))
    used = {label for matchers in MATCHERS.findall(expression) for label in LABEL.findall(matchers)}
    used |= {label.strip() for labels in GROUPING.findall(expression) for label in labels.split(",")}
    assert used <= known, what


def test_the_panels_have_ids_and_places_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_metric_has_a_place_on_the_dashboard(scraped: ScrapedMetrics) -> None:
    targets = [target for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    shown = set(NAME.findall(" ".join(target["expr"] for target in targets)))
    shown = {re.sub("_(bucket|count|sum)$", "", name) if name not in scraped.families else name for name in shown}
    assert (set(scraped.families) | node_metrics().keys()) - shown == set()
