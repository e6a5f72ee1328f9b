"""What /health tells a load balancer about a node that is cut off from its database."""

import time
from pathlib import Path

import httpx
import pytest

from tests.book.postgres.cuttable_proxy import CuttableProxy
from tests.e2e.cluster.nodes import Node
from tests.postgres_server import database

pytestmark = pytest.mark.slow

TAKEN_OUT_SECONDS = 20
"""A node counts as cut off after 5 s; the rest is for a busy machine."""


def test_a_node_without_its_database_is_taken_out_and_comes_back(tmp_path: Path, postgres_server_url: str) -> None:
    with (
        database(postgres_server_url) as url,
        CuttableProxy(url) as proxy,
        Node(tmp_path / "node", database_url=proxy.url, name="node-1") as node,
    ):
        assert health(node) == (200, "ok", "reachable")
        proxy.refuse()
        wait_for(node, (503, "no-database", "unreachable"))
        proxy.heal()
        wait_for(node, (200, "ok", "reachable"))


def health(node: Node) -> tuple[int, str, str]:
    answer = httpx.get(f"{node.url}/health")
    body = answer.json()
    return answer.status_code, body["status"], body["node"]["database"]


def wait_for(node: Node, wanted: tuple[int, str, str]) -> None:
    deadline = time.monotonic() + TAKEN_OUT_SECONDS
    while (found := health(node)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
