"""What an operator sees of two nodes: the banner, /health, /metrics, `cluster status` and `doctor`."""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.installation.test_doctor_command import findings_of
from tests.e2e.cluster.nodes import CLUSTER_SECRET, PUBLIC_URL, TwoNodes, two_nodes
from tests.postgres_server import database
from tests.serving import FREE_PORTS, run_command

IDLE_CONNECTIONS, MAXIMUM_CONNECTIONS = 7, 17
"""Connections of a node to the database, with the default settings and no webhook, as docs/scaling.md says."""


@pytest.fixture(scope="module")
def url(postgres_server_url: str) -> Iterator[str]:
    with database(postgres_server_url) as made:
        yield made


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[TwoNodes]:
    with two_nodes(tmp_path_factory.mktemp("nodes"), database_url=url) as running:
        yield running


def command(*arguments: str, url: str, secret: str = CLUSTER_SECRET) -> tuple[int, str]:
    """Run a command with the settings of a node; return its exit code and its output."""
    ended = run_command(
        *arguments,
        STAGEBOOK_BOOK="postgres",
        STAGEBOOK_DATABASE_URL=url,
        STAGEBOOK_CLUSTER_SECRET=secret,
    )
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def health(url: str) -> tuple[int, Any]:
    answer = httpx.get(f"{url}/health")
    return answer.status_code, answer.json()


def metrics(url: str) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    return {
        (sample.name.removeprefix("stagebook_node_"), "".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
        if family.name.startswith("stagebook_node")
    }


def test_the_banner_says_that_the_server_is_a_node(nodes: TwoNodes) -> None:
    line = next(line for line in nodes.owner.output.splitlines() if line.startswith("  node "))
    assert re.fullmatch(
        r"  node         node-2 \(run \d+\), other nodes reach it at http://127\.0\.0\.1:\d+; "
        r"book in PostgreSQL database test_\w+ at 127\.0\.0\.1:\d+",
        line,
    )


def test_health_names_the_node_and_its_run(nodes: TwoNodes) -> None:
    found = [health(node.url) for node in (nodes.asked, nodes.owner)]
    assert [status for status, _ in found] == [200, 200]
    asked, owner = (body["node"] for _, body in found)
    assert (asked["name"], asked["accounts"], owner["name"], owner["accounts"]) == ("node-1", 0, "node-2", 1)
    assert asked["run_id"] != owner["run_id"]
    assert owner["database"] == "reachable"
    assert 0 < owner["lease_seconds"] <= 2.5


def test_metrics_show_what_is_sent_on(nodes: TwoNodes) -> None:
    before = metrics(nodes.asked.url)
    nodes.asked.client().create_stage(name="sent-on")
    after = metrics(nodes.asked.url)
    assert after["forwarded_requests_total", "http"] == before["forwarded_requests_total", "http"] + 1
    assert (after["accounts", ""], metrics(nodes.owner.url)["accounts", ""]) == (0, 1)
    assert 0 < after["lease_seconds", ""] <= 2.5


def test_the_status_shows_nodes_accounts_and_the_database(nodes: TwoNodes, url: str) -> None:
    code, output = command("cluster", "status", "--json", url=url)
    status = json.loads(output)
    assert (code, status["isHealthy"]) == (0, True)
    assert [(node["name"], node["state"], node["health"], node["accounts"]) for node in status["nodes"]] == [
        ("node-1", "ALIVE", "ok", 0),
        ("node-2", "ALIVE", "ok", 1),
    ]
    assert all(node["heartbeatAgeSeconds"] < 3 and node["leaseSeconds"] > 0 for node in status["nodes"])
    assert [(account["accountId"], account["node"]) for account in status["accounts"]] == [
        (nodes.owner.key.account_id, "node-2")
    ]
    assert status["accountCounts"] == {"OWNED": 1, "FREE": 0, "ABANDONED": 0}
    assert status["database"]["standbys"] == []


def test_the_status_as_a_table(nodes: TwoNodes, url: str) -> None:
    code, output = command("cluster", "status", url=url)
    assert code == 0
    assert "2 nodes alive; 1 account: 1 owned, 0 free, 0 abandoned" in output
    assert re.search(r"node-2 +\d+ +ALIVE +ok ", output)
    code, output = command("cluster", "status", "--account", "999999999999", url=url)
    assert code == 0
    assert "this account has never had an owner" in output
    assert nodes.owner.key.account_id not in output


def test_a_status_with_another_secret_says_so(nodes: TwoNodes, url: str) -> None:
    code, output = command("cluster", "status", url=url, secret="f" * 32)
    assert code == 0
    assert "refused: the signature is wrong: do all nodes have the same cluster_secret?" in output
    assert nodes.asked.is_running()


def doctor(folder: Path, *, url: str, name: str, secret: str = CLUSTER_SECRET) -> tuple[int, Any]:
    ended = run_command(
        *("doctor", "--format", "json", "--data", str(folder), *FREE_PORTS),
        STAGEBOOK_BOOK="postgres",
        STAGEBOOK_DATABASE_URL=url,
        STAGEBOOK_NODE_NAME=name,
        STAGEBOOK_INTERNAL_LISTEN="127.0.0.1:0",
        STAGEBOOK_CLUSTER_SECRET=secret,
        STAGEBOOK_PUBLIC_URL=PUBLIC_URL,
    )
    return ended.returncode, json.loads(ended.stdout)


def test_doctor_checks_the_database_the_secrets_and_the_nodes(nodes: TwoNodes, url: str) -> None:
    _, document = doctor(nodes.owner.data, url=url, name="node-2")
    found = findings_of(document, "database")
    assert {subject: finding["severity"] for subject, finding in found.items()} == {
        "server": "ok",
        "schema": "ok",
        "fsync": "error",  # The database of the tests.
        "full_page_writes": "error",
        "standbys": "note",
        "connections": "ok",
        "clock": "ok",
    }
    assert findings_of(document, "shared secrets")["data folder"]["found"] == "5 are those of the book"
    answers = findings_of(document, "nodes")
    assert len(answers) == 2
    assert all("answers: ok" in finding["found"] for finding in answers.values()), answers


def test_doctor_names_what_keeps_a_node_out(nodes: TwoNodes, url: str, tmp_path: Path) -> None:
    (tmp_path / "stream-key-secret").write_bytes(b"x" * 32)
    code, document = doctor(tmp_path, url=url, name="node-2", secret="f" * 32)
    assert code == 1
    assert "stream-key-secret" in findings_of(document, "shared secrets")["data folder"]["found"]
    found = findings_of(document, "nodes")
    assert found["node-2"]["found"] == "another server with the node_name node-2 lives"
    assert sum("the same cluster_secret" in finding["remedy"] for finding in found.values()) == 2
    assert nodes.asked.is_running()


def test_doctor_says_that_a_database_does_not_answer(tmp_path: Path) -> None:
    code, document = doctor(tmp_path, url="postgresql://ann:sesame@127.0.0.1:1/book", name="node-1")
    assert code == 1
    (finding,) = findings_of(document, "database").values()
    assert "cannot be reached" in finding["found"]
    assert "sesame" not in json.dumps(document)


def test_a_node_opens_few_connections(nodes: TwoNodes, url: str) -> None:
    for node in (nodes.asked, nodes.owner):
        client = node.client()
        for _ in range(20):
            client.list_stages()
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'stagebook'"
        ).fetchone()
    assert row is not None
    assert 2 * IDLE_CONNECTIONS <= row[0] <= 2 * MAXIMUM_CONNECTIONS


def test_a_stopped_owner_is_seen_and_its_account_taken(nodes: TwoNodes, url: str) -> None:
    nodes.owner.send_signal(signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 30
        while (counted := metrics(nodes.asked.url))["taken_accounts_total", "node"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert counted["accounts", ""] == 1
        code, output = command("cluster", "status", "--json", url=url)
    finally:
        nodes.owner.send_signal(signal.SIGCONT)
    status = json.loads(output)
    assert code == 0
    assert [(node["name"], node["state"]) for node in status["nodes"]] == [("node-1", "ALIVE"), ("node-2", "FENCED")]
    assert [account["node"] for account in status["accounts"]] == ["node-1"]
    assert nodes.owner.wait() > 0  # A supervisor starts it again, as a new run.
