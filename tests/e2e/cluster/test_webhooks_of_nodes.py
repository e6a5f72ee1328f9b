"""What all nodes of a book share: bearer keys, console sessions, webhooks; webhooks when their node is killed."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.publisher import Publisher
from tests.e2e.cluster.nodes import Node, TwoNodes, two_nodes
from tests.postgres_server import database
from tests.webhooks.destinations import SECRET
from tests.webhooks.receiver import Answer, Delivery, Receiver

DEADLINE_SECONDS = 60
CONSOLE = {"x-stagebook-console": "1"}


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


@pytest.fixture(scope="module")
def key(nodes: TwoNodes) -> str:
    """The text of a bearer key, made with the data folder of a node that does not own the account."""
    text = nodes.asked.command("keys", "create", "--role", "operator").strip()
    for node in (nodes.asked, nodes.owner):
        wait_for_status(node, text, 200)
    return text


def wait_for_status(node: Node, key: str, status: int) -> None:
    """Wait until a node answers a request with this key with this status."""
    waiting = threading.Event()
    for _ in range(DEADLINE_SECONDS * 20):
        if httpx.get(f"{node.url}/watch/v1/me", headers=bearer(key)).status_code == status:
            return
        waiting.wait(0.05)
    raise AssertionError(f"{node.name} does not answer {status}")


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_bearer_key_and_a_console_session_are_valid_at_every_node_until_the_key_is_revoked(
    nodes: TwoNodes, key: str
) -> None:
    other = nodes.owner.command("keys", "create", "--role", "reader").strip()
    assert other.split("_")[1] in nodes.asked.command("keys", "list")
    wait_for_status(nodes.asked, other, 200)
    wait_for_status(nodes.owner, other, 200)
    headers = CONSOLE | {"host": "stages.example.com", "origin": "http://stages.example.com"}
    opened = httpx.post(f"{nodes.asked.url}/watch/v1/sign-in", json={"key": other}, headers=headers)
    assert opened.status_code == 200, opened.text
    cookie = {"cookie": opened.headers["set-cookie"].partition(";")[0]}
    for node in (nodes.asked, nodes.owner):
        assert httpx.get(f"{node.url}/watch/v1/me", headers=headers | cookie).status_code == 200
    nodes.asked.command("keys", "revoke", other)
    # The session is at the owner, and each node notices the end of the key by itself.
    for node in (nodes.asked, nodes.owner):
        wait_for_status(node, other, 401)
    for node in (nodes.asked, nodes.owner):
        assert httpx.get(f"{node.url}/watch/v1/me", headers=headers | cookie).status_code == 401
        assert httpx.get(f"{node.url}/watch/v1/me", headers=bearer(key)).status_code == 200


class SlowReceiver(Receiver):
    """Accepts the first `free` deliveries, then answers 503 until `open` is set."""

    def __init__(self, *, free: int) -> None:
        self.open = threading.Event()
        self._free = free
        super().__init__(answer=self._choose)

    def _choose(self, _delivery: Delivery) -> Answer:
        return Answer() if self.open.is_set() or len(self.accepted) < self._free else Answer(503)


async def publish(nodes: TwoNodes, stage_arn: str) -> None:
    """Publish for a moment: four events."""
    made = await asyncio.to_thread(nodes.asked.client().create_participant_token, stageArn=stage_arn)
    token = made["participantToken"]["token"]
    publisher = Publisher(token, whip_url=f"{nodes.asked.url}/whip")
    try:
        response = await publisher.start()
        path = httpx.URL(f"{nodes.asked.url}/").join(response.headers["location"]).path
        async with httpx.AsyncClient(timeout=30) as client:
            ended = await client.delete(f"{nodes.asked.url}{path}", headers=bearer(token))
            assert ended.status_code == 200
    finally:
        await publisher.stop()


def events_of(node: Node, key: str) -> dict[str, str]:
    """Return the ids of all events with their sessions, in the order of the book."""
    answer = httpx.get(f"{node.url}/watch/v1/events?order=asc&limit=500", headers=bearer(key), timeout=30)
    assert answer.status_code == 200, answer.text
    return {each["id"]: each["sessionId"] for each in answer.json()["events"]}


async def test_webhooks_go_on_at_the_node_that_takes_the_account_of_a_killed_one(nodes: TwoNodes, key: str) -> None:
    """The last test of the module: the other node owns the account from here on."""
    stage_arn = (await asyncio.to_thread(nodes.asked.client().create_stage))["stage"]["arn"]
    with SlowReceiver(free=6) as receiver:
        made = await asyncio.to_thread(add_webhook, nodes, key, receiver.url)
        for _ in range(3):
            await publish(nodes, stage_arn)
        await asyncio.to_thread(receiver.wait_for, lambda: len(receiver.deliveries) > len(receiver.accepted) >= 6)
        # A publisher is on the stage, and events wait for the receiver.
        staying = Publisher(await new_token(nodes, stage_arn), whip_url=f"{nodes.asked.url}/whip")
        try:
            await staying.start()
            nodes.owner.kill()
        finally:
            await staying.stop()
        receiver.open.set()
        await asyncio.to_thread(wait_for_status, nodes.asked, key, 200)
        expected = await asyncio.to_thread(events_of, nodes.asked, key)
        assert len(expected) == 16
        await asyncio.to_thread(receiver.wait_for_accepted, len(expected))
        accepted = [each.headers["webhook-id"] for each in receiver.accepted]
        # The command works on the database: any node's settings do.
        listed = await asyncio.to_thread(nodes.asked.command, "webhooks", "list", "--output", "json")
        assert made["id"] in listed
        tested = await asyncio.to_thread(nodes.asked.command, "webhooks", "test", made["id"])
        assert tested == "delivered with status 204\n"
    assert nodes.asked.owns_account()
    arrived = list(dict.fromkeys(accepted))
    assert set(arrived) == set(expected)
    # The order is that of the book within each session.
    for session_id in set(expected.values()):
        in_book = [each for each, session in expected.items() if session == session_id]
        assert [each for each in arrived if expected[each] == session_id] == in_book
    # Only what was delivered before the receiver refused can come twice: the killed node may not have stored it.
    assert len(accepted) <= len(arrived) + 6


def add_webhook(nodes: TwoNodes, key: str, url: str) -> dict[str, Any]:
    made = httpx.post(
        f"{nodes.asked.url}/watch/v1/webhooks",
        json={"target": url, "secret": SECRET},
        headers=bearer(key),
        timeout=30,
    )
    assert made.status_code in (200, 201), made.text
    document: dict[str, Any] = made.json()
    return document


async def new_token(nodes: TwoNodes, stage_arn: str) -> str:
    made = await asyncio.to_thread(nodes.asked.client().create_participant_token, stageArn=stage_arn)
    return str(made["participantToken"]["token"])
