"""Every JOINED is followed by LEFT: after silence of a peer, after a shutdown, and after a crash of peer or server."""

import asyncio
import base64
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.clients.events_client import connect_events_client
from tests.clients.stage_client import TIMEOUT_SECONDS, token_payload
from tests.e2e.participants.conftest import Peers
from tests.e2e.participants.stage_handle import StageHandle
from tests.e2e.server import RunningServer, run_server

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def impatient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that soon gives up a peer that is silent."""
    with run_server(
        tmp_path_factory.mktemp("impatient") / "data",
        session_linger_seconds="60",
        media_consent_timeout_seconds="3",
        websocket_ping_seconds="0.5",
        websocket_timeout_seconds="2",
    ) as server:
        yield server
    assert "level=error" not in server.log, server.log


async def test_a_publisher_whose_process_dies_leaves_when_ice_consent_expires(impatient_server: RunningServer) -> None:
    stage = StageHandle(impatient_server)
    publisher_id, token = await stage.token()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.clients.publisher", token),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    finally:
        process.kill()
        await process.communicate()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT")


async def test_a_participant_whose_websocket_answers_no_ping_leaves(impatient_server: RunningServer) -> None:
    stage = StageHandle(impatient_server)
    participant_id, token = await stage.token()
    payload = token_payload(token)
    url = urlsplit(f"{payload['events_url']}/{payload['topic']}")
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {url.path} HTTP/1.1",
        f"Host: {url.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Protocol: {token}",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(TIMEOUT_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    await stage.expect_events(participant_id, "JOINED", "LEFT")
    writer.close()


async def test_a_viewer_whose_media_does_not_connect_leaves(tmp_path: Path, peers: Peers) -> None:
    with run_server(tmp_path / "data", media_connect_timeout_seconds="3", session_linger_seconds="60") as server:
        stage = StageHandle(server)
        publisher_id, publisher_token = await stage.token()
        viewer_id, viewer_token = await stage.token()
        await peers.publisher(publisher_token).start()
        viewer = peers.viewer(viewer_token, publisher_id=publisher_id)
        viewer.connection.addTransceiver("audio", direction="recvonly")
        await viewer.connection.setLocalDescription(await viewer.connection.createOffer())
        async with httpx.AsyncClient() as http:
            response = await http.post(
                f"{token_payload(viewer_token)['whip_url']}/subscribe/{publisher_id}",
                content=viewer.connection.localDescription.sdp,
                headers={"Authorization": f"Bearer {viewer_token}", "Content-Type": "application/sdp"},
            )
        assert response.status_code == 201
        await stage.expect_events(viewer_id, "JOINED", "LEFT")


async def test_a_shutdown_closes_websockets_and_records_left_for_all_participants(tmp_path: Path, peers: Peers) -> None:
    with run_server(tmp_path / "data") as server:
        stage = StageHandle(server)
        publisher_id, viewer_id = await publish_and_watch(stage, peers)
        _, watcher_token = await stage.token()
        async with connect_events_client(watcher_token) as events:
            await events.wait_until(lambda shown: len(shown) == 3)
            assert await asyncio.to_thread(server.stop) == 0
            assert await events.wait_closed() == (1001, "SERVER_SHUTDOWN")
    await assert_both_left(tmp_path / "data", stage.arn, publisher_id, viewer_id)


async def test_the_start_after_a_crash_records_left_once_for_all_participants(tmp_path: Path, peers: Peers) -> None:
    with run_server(tmp_path / "data") as server:
        stage = StageHandle(server)
        publisher_id, viewer_id = await publish_and_watch(stage, peers)
        server.kill()
    await assert_both_left(tmp_path / "data", stage.arn, publisher_id, viewer_id)


async def publish_and_watch(stage: StageHandle, peers: Peers) -> tuple[str, str]:
    """Connect a publisher and a viewer, and return their participant ids."""
    publisher_id, publisher_token = await stage.token()
    viewer_id, viewer_token = await stage.token()
    await peers.publisher(publisher_token).start()
    await peers.viewer(viewer_token, publisher_id=publisher_id).start()
    await stage.expect_events(publisher_id, "JOINED", "PUBLISH_STARTED")
    await stage.expect_events(viewer_id, "JOINED", ("SUBSCRIBE_STARTED", publisher_id))
    return publisher_id, viewer_id


async def assert_both_left(data: Path, stage_arn: str, publisher_id: str, viewer_id: str) -> None:
    """Start a server on the same data folder and check its book, without polling: recovery is part of the start."""
    with run_server(data) as server:
        stage = StageHandle(server, arn=stage_arn)
        assert await stage.events(publisher_id) == ["JOINED", "PUBLISH_STARTED", "PUBLISH_STOPPED", "LEFT"]
        assert await stage.events(viewer_id) == [
            "JOINED",
            ("SUBSCRIBE_STARTED", publisher_id),
            ("SUBSCRIBE_STOPPED", publisher_id),
            "LEFT",
        ]
        assert stage.ivs.get_stage(arn=stage_arn)["stage"].get("activeSessionId", "") == ""
