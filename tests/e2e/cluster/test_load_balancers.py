"""nginx and HAProxy in front of two nodes: boto3, a websocket, the live tail, RTMP, client addresses, a lost node."""

import asyncio
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from botocore.exceptions import ClientError

from contrib.cluster.balancer_config import BalancerPorts
from contrib.cluster.cluster_programs import BALANCERS
from tests.clients.encoder import Encoder
from tests.e2e.cluster.balancers import BALANCER_LOG, balancer_program, running_balancer
from tests.e2e.cluster.nodes import Node, running_nodes, signed_headers
from tests.e2e.ingest.commands import PUBLISH, VARIABLES
from tests.postgres_server import database

pytestmark = pytest.mark.slow

CLIENT_ADDRESS = "127.0.0.2"
"""Of a client, so that it is not that of the load balancer."""


class BalancedNodes:
    """Nodes, and the load balancer in front of them."""

    def __init__(self, nodes: list[Node], ports: BalancerPorts, *, log: Path, has_checks: bool) -> None:
        self.nodes = nodes
        self.log = log
        self.has_checks = has_checks
        self.ports = ports
        self.url = f"http://127.0.0.1:{ports.http}"

    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client that asks the load balancer."""
        return self.nodes[0].client(endpoint_url=self.url)

    @property
    def logs(self) -> str:
        """What the nodes have logged."""
        return "".join(node.output for node in self.nodes)


@pytest.fixture(scope="module", params=BALANCERS)
def balanced(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server_url: str
) -> Iterator[BalancedNodes]:
    program = balancer_program(request.param)
    settings = {"STAGEBOOK_TRUSTED_PROXIES": "127.0.0.1"}
    with (
        # Not a folder of pytest, which is private to the user that runs the tests.
        tempfile.TemporaryDirectory(prefix="stagebook-balancer-") as folder,
        database(postgres_server_url) as url,
        running_nodes(tmp_path_factory.mktemp("nodes"), database_url=url, count=2, **settings) as nodes,
        running_balancer(program, Path(folder), nodes) as ports,
    ):
        nodes[1].client().create_stage(name="first")
        assert nodes[1].owns_account()
        wait_until_both_are_asked(ports)
        log = Path(folder) / BALANCER_LOG
        yield BalancedNodes(nodes, ports, log=log, has_checks=program.name == "haproxy")


def wait_until_both_are_asked(ports: BalancerPorts) -> None:
    """Wait until the load balancer has found a node healthy."""
    deadline = time.monotonic() + 30
    while httpx.get(f"http://127.0.0.1:{ports.http}/health").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_out(balanced: BalancedNodes) -> None:
    """Wait until the load balancer has taken the second node out."""
    deadline = time.monotonic() + 30
    while "Server stagebook/node-2 is DOWN" not in balanced.log.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, balanced.log.read_text(encoding="utf-8")
        time.sleep(0.05)


def created_in_the_end(ivs: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - boto3's client
    """Create a stage. Ask again after 503, as AWS clients do: the owner was lost during the request."""
    deadline = time.monotonic() + 30
    while True:
        try:
            created: dict[str, Any] = ivs.create_stage(name=name)["stage"]
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 503 or time.monotonic() > deadline:
                raise
        else:
            return created


def test_aws_clients_write_and_read(balanced: BalancedNodes) -> None:
    ivs = balanced.client()
    created = [ivs.create_stage(name=f"stage-{number}")["stage"] for number in range(6)]
    for stage in created:
        assert ivs.get_stage(arn=stage["arn"])["stage"]["name"] == stage["name"]
    ivs.tag_resource(resourceArn=created[0]["arn"], tags={"a b": "c/d?"})
    assert ivs.list_tags_for_resource(resourceArn=created[0]["arn"])["tags"] == {"a b": "c/d?"}


async def test_a_websocket_and_the_live_tail_are_not_buffered(balanced: BalancedNodes) -> None:
    created = await asyncio.to_thread(
        lambda: balanced.client().create_stage(participantTokenConfigurations=[{"userId": "ann"}])
    )
    token = created["participantTokens"][0]
    url = f"{balanced.url}/watch/v1/events/stream"
    headers = signed_headers(balanced.nodes[0].key, "GET", url)
    socket_url = f"ws://127.0.0.1:{balanced.ports.http}/events/{created['stage']['arn'].rpartition('/')[2]}"
    protocols = [websockets.Subprotocol(token["token"])]
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", url, headers=headers) as tail,
    ):
        assert (tail.status_code, tail.headers["content-type"]) == (200, "text/event-stream")
        lines = tail.aiter_lines()
        async with websockets.connect(socket_url, subprotocols=protocols) as connection:
            assert token["participantId"] in json.dumps(json.loads(await connection.recv()))
            # While the stream is open: a proxy that buffers would not send it.
            async for line in lines:
                if line.startswith("data:") and token["participantId"] in line:
                    assert json.loads(line[5:])["name"] == "JOINED"
                    break


def test_a_node_sees_the_address_of_the_client_and_not_what_it_claims(balanced: BalancedNodes) -> None:
    before = len(balanced.logs)
    transport = httpx.HTTPTransport(local_address=CLIENT_ADDRESS)
    with httpx.Client(transport=transport) as client:
        headers = {"authorization": "Bearer no-such-key", "x-forwarded-for": "203.0.113.9"}
        assert client.get(f"{balanced.url}/watch/v1/me", headers=headers).status_code in {401, 403}
    deadline = time.monotonic() + 10
    while CLIENT_ADDRESS not in balanced.logs[before:]:
        assert time.monotonic() < deadline, balanced.logs
        time.sleep(0.02)
    assert "203.0.113.9" not in balanced.logs


@pytest.mark.parametrize("protocol", ["rtmp", "rtmps"])
async def test_an_encoder_publishes(balanced: BalancedNodes, protocol: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed; .ci/run names the packages")
    ivs = balanced.client()

    def attached() -> dict[str, Any]:
        stage = ivs.create_stage()["stage"]
        created = ivs.create_ingest_configuration(ingestProtocol="RTMPS", insecureIngest=True, stageArn=stage["arn"])
        found: dict[str, Any] = created["ingestConfiguration"]
        return found

    configuration = await asyncio.to_thread(attached)
    port = balanced.ports.rtmp if protocol == "rtmp" else balanced.ports.rtmps
    url = {"URL": f"{protocol}://127.0.0.1:{port}/app/", "KEY": configuration["streamKey"]}
    encoder = await Encoder.start(PUBLISH, variables=VARIABLES | url)
    try:
        async with asyncio.timeout(60):
            while True:
                found = await asyncio.to_thread(ivs.get_ingest_configuration, arn=configuration["arn"])
                if found["ingestConfiguration"]["state"] == "ACTIVE":
                    break
                assert encoder.is_running, encoder.errors
                await asyncio.sleep(0.05)
    finally:
        await encoder.kill()


def test_a_lost_node_gets_no_requests(balanced: BalancedNodes) -> None:
    """The last test with a load balancer: one node is left.

    nginx finds a node that ended by its connections. HAProxy finds also one that accepts connections and does not
    answer, by its checks; requests that had reached it before get an error.
    """
    with httpx.Client(timeout=30) as client:
        if balanced.has_checks:
            balanced.nodes[1].send_signal(signal.SIGSTOP)
            wait_until_out(balanced)
        else:
            balanced.nodes[1].kill()
        for _ in range(20):
            assert client.get(f"{balanced.url}/health").status_code == 200
    assert created_in_the_end(balanced.client(), "after-the-loss")["name"] == "after-the-loss"
    assert balanced.nodes[0].owns_account()
