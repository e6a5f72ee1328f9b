"""Clients of a node that does not own their account: boto3, WHIP, websockets, the live tail; a killed owner."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets
from botocore.exceptions import ClientError

from tests.clients.encoder import Encoder
from tests.clients.publisher import Publisher
from tests.e2e.cluster.nodes import TwoNodes, signed_headers, two_nodes
from tests.e2e.ingest.commands import PUBLISH, VARIABLES
from tests.postgres_server import database


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, postgres_server_url: str) -> Iterator[TwoNodes]:
    with (
        database(postgres_server_url) as url,
        two_nodes(tmp_path_factory.mktemp("nodes"), database_url=url) as running,
    ):
        yield running
        logs = running.asked.output + running.owner.output
        assert "level=error" not in logs, logs
        assert "Traceback" not in logs, logs


def change_body(request: Any, **_event: object) -> None:  # noqa: ANN401 - botocore's request
    request.body = b"{ "[: len(request.body)]


def test_a_write_is_made_by_the_owner_which_verifies_the_signature(nodes: TwoNodes) -> None:
    created = nodes.asked.client().create_stage(name="through-another-node")["stage"]
    assert nodes.owner.client().get_stage(arn=created["arn"])["stage"]["name"] == "through-another-node"
    # The other node reads the database itself.
    assert nodes.asked.client().get_stage(arn=created["arn"])["stage"]["name"] == "through-another-node"
    assert not nodes.asked.owns_account()
    nodes.asked.client().tag_resource(resourceArn=created["arn"], tags={"a b": "c/d?"})
    assert nodes.owner.client().list_tags_for_resource(resourceArn=created["arn"])["tags"] == {"a b": "c/d?"}
    forged = nodes.asked.client()
    forged.meta.events.register("before-send.*", change_body)
    with pytest.raises(ClientError) as caught:
        forged.create_stage()
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"


def new_token(nodes: TwoNodes, **arguments: Any) -> tuple[str, dict[str, str]]:  # noqa: ANN401 - of boto3
    """Return the ARN of a new stage, and a token for it."""
    configuration = {"userId": "ann", **arguments}
    created = nodes.asked.client().create_stage(participantTokenConfigurations=[configuration])
    return created["stage"]["arn"], created["participantTokens"][0]


async def test_a_publisher_and_a_websocket_and_the_live_tail_reach_the_owner(nodes: TwoNodes) -> None:
    stage_arn, token = await asyncio.to_thread(new_token, nodes)
    url = f"{nodes.asked.url}/watch/v1/events/stream"
    headers = signed_headers(nodes.asked.key, "GET", url)
    publisher = Publisher(token["token"], whip_url=f"{nodes.asked.url}/whip")
    socket_url = f"ws://127.0.0.1:{nodes.asked.port}/events/{stage_arn.rpartition('/')[2]}"
    names = []
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", url, headers=headers) as tail,
    ):
        assert (tail.status_code, tail.headers["content-type"]) == (200, "text/event-stream")
        lines = tail.aiter_lines()
        try:
            response = await publisher.start()
            async with websockets.connect(
                socket_url, subprotocols=[websockets.Subprotocol(token["token"])]
            ) as connection:
                state = json.loads(await connection.recv())
                assert token["participantId"] in json.dumps(state)
            while "PUBLISH_STARTED" not in names:
                line = await anext(lines)
                if line.startswith("data:") and "name" in line:
                    names.append(json.loads(line[5:])["name"])
            resource = str(httpx.URL(f"{nodes.asked.url}/").join(response.headers["location"]))
            resource = f"{nodes.asked.url}{httpx.URL(resource).path}"
            ended = await client.delete(resource, headers={"authorization": f"Bearer {token['token']}"})
            assert ended.status_code == 200
        finally:
            await publisher.stop()
        while "LEFT" not in names:
            line = await anext(lines)
            if line.startswith("data:") and "name" in line:
                names.append(json.loads(line[5:])["name"])
    assert names == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]


async def test_an_encoder_reaches_the_owner(nodes: TwoNodes) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed; .ci/run names the packages")
    ivs = nodes.asked.client()
    stage_arn, _ = await asyncio.to_thread(new_token, nodes)
    configuration = (
        await asyncio.to_thread(
            ivs.create_ingest_configuration, ingestProtocol="RTMPS", insecureIngest=True, stageArn=stage_arn
        )
    )["ingestConfiguration"]

    async def state() -> str:
        found = await asyncio.to_thread(ivs.get_ingest_configuration, arn=configuration["arn"])
        return str(found["ingestConfiguration"]["state"])

    url = {"URL": f"rtmp://127.0.0.1:{nodes.asked.rtmp_port}/app/", "KEY": configuration["streamKey"]}
    encoder = await Encoder.start(PUBLISH, variables=VARIABLES | url)
    try:
        async with asyncio.timeout(60):
            while await state() != "ACTIVE":
                assert encoder.is_running, encoder.errors
                await asyncio.sleep(0.05)
            await asyncio.to_thread(ivs.delete_ingest_configuration, arn=configuration["arn"], force=True)
            await encoder.wait_until_ended()
    finally:
        await encoder.kill()


def test_the_owner_is_killed_and_the_account_is_served_by_the_other_node(nodes: TwoNodes) -> None:
    """The last test of the module: the other node owns the account from here on."""
    url = f"{nodes.asked.url}/watch/v1/events/stream"
    headers = signed_headers(nodes.asked.key, "GET", url)
    with httpx.Client(timeout=30) as client, client.stream("GET", url, headers=headers) as tail:
        assert tail.status_code == 200
        nodes.owner.kill()
        # An open response breaks off, so that the client connects again.
        with pytest.raises(httpx.RemoteProtocolError):
            tail.read()
    # Nobody owns the account until the lease of the dead owner ends: the request waits.
    stage = nodes.asked.client().create_stage(name="after-the-takeover")["stage"]
    assert nodes.asked.owns_account()
    assert nodes.asked.client().get_stage(arn=stage["arn"])["stage"]["name"] == "after-the-takeover"
