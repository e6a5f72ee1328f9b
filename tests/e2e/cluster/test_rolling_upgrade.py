"""The upgrade of a cluster as docs/scaling.md describes it: one node after the other, under calls of an AWS client."""

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.e2e.cluster.newer_node import VERSION, ExcludingNode, NewerNode
from tests.e2e.cluster.nodes import CLUSTER_SECRET, Node
from tests.e2e.cluster.small_balancer import SmallBalancer
from tests.postgres_server import database
from tests.serving import DEADLINE_SECONDS, run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Trickle:
    """Calls of a client with the retries that boto3 has by default, one after the other, until `stop`."""

    def __init__(self, node: Node, port: int) -> None:
        credentials = node.credentials() | {"endpoint_url": f"http://127.0.0.1:{port}"}
        make: Any = boto3.Session().client  # boto3-stubs accept only literal arguments
        self._client = make("ivs-realtime", **credentials)
        self.acknowledged: list[str] = []
        self.failures: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.05):
            try:
                arn = self._client.create_stage(name="upgrade")["stage"]["arn"]
                self._client.get_stage(arn=arn)
                self.acknowledged.append(arn)
            except Exception as error:  # noqa: BLE001 - each is a failure of the test
                self.failures.append(f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


def status(url: str) -> dict[str, Any]:
    """Return what `cluster status` prints, once its exit code is 0."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        ended = run_command(
            *("cluster", "status", "--json"),
            STAGEBOOK_BOOK="postgres",
            STAGEBOOK_DATABASE_URL=url,
            STAGEBOOK_CLUSTER_SECRET=CLUSTER_SECRET,
        )
        if ended.returncode == 0:
            found: dict[str, Any] = json.loads(ended.stdout)
            return found
        assert time.monotonic() < deadline, ended.stdout + ended.stderr
        time.sleep(0.2)


def stored_arns(node: Node) -> set[str]:
    client, found = node.client(), set[str]()
    more: dict[str, str] = {}
    while True:
        page = client.list_stages(maxResults=100, **more)
        found |= {stage["arn"] for stage in page["stages"]}
        if "nextToken" not in page:
            return found
        more = {"nextToken": page["nextToken"]}


def test_no_call_fails_while_each_node_is_replaced(tmp_path: Path, postgres_server_url: str) -> None:
    with database(postgres_server_url) as url, ExitStack() as stack:

        def start(kind: type[Node], name: str) -> Node:
            return stack.enter_context(kind(tmp_path / name, database_url=url, name=name))

        nodes = {name: start(Node, name) for name in ("node-1", "node-2")}
        balancer = stack.enter_context(SmallBalancer(lambda: [node.port for node in nodes.values()]))
        trickle = Trickle(nodes["node-1"], balancer.port)
        stack.callback(trickle.stop)
        for name in ("node-1", "node-2"):
            time.sleep(1)  # Some calls at each state of the cluster; nothing waits for this time.
            assert nodes[name].end() == 0
            nodes[name] = start(NewerNode, name)
            assert httpx.get(f"{nodes[name].url}/health").status_code == 200
            assert status(url)["schemaVersion"] == VERSION
        time.sleep(1)
        trickle.stop()
        assert trickle.failures == []
        assert len(trickle.acknowledged) > 20
        # A node of the version before runs beside them, and has everything that was acknowledged.
        before = start(Node, "node-3")
        assert set(trickle.acknowledged) <= stored_arns(before)
        before.client().create_stage(name="from-the-version-before")
        assert [node["state"] for node in status(url)["nodes"]] == ["ALIVE"] * 3


def test_a_node_of_a_version_that_is_excluded_does_not_start(tmp_path: Path, postgres_server_url: str) -> None:
    with database(postgres_server_url) as url:
        with ExcludingNode(tmp_path / "new", database_url=url, name="node-1"):
            refused = Node(tmp_path / "old", database_url=url, name="node-2")
            assert refused.wait() == 1
        assert f"The book has schema version {VERSION}, which needs a Stagebook of version {VERSION}" in refused.output
