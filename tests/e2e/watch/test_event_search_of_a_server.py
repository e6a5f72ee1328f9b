"""The search over a running server: at once, across stages, in pages, and after the index was lost."""

import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stagebook.data_folder.secrets import DataFolder
from tests.clients.events_client import connect_events_client
from tests.e2e.server import RunningServer, run_server, start_server
from tests.e2e.watch.bearer import create_key, get, wait_for_status

PATH = "/watch/v1/events"


def new_key(server: RunningServer) -> str:
    """Return a key that the server knows."""
    key = create_key(server, "reader")
    wait_for_status(server, "/watch/v1/me", key=key, status=200)
    return key


@pytest.fixture(scope="module")
def key(server: RunningServer) -> str:
    return new_key(server)


async def join(server: RunningServer, *, user: str) -> str:
    """Join a new stage and leave it; return the ARN of the stage. Both events are durable."""
    client = server.client()
    stage_arn = client.create_stage()["stage"]["arn"]
    token = client.create_participant_token(stageArn=stage_arn, userId=user)["participantToken"]["token"]
    async with connect_events_client(token):
        pass
    return str(stage_arn)


def search(server: RunningServer, key: str, query: str) -> dict[str, Any]:
    response = get(server, f"{PATH}?{query}", key=key)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


async def test_a_user_is_found_on_all_stages_at_once(server: RunningServer, key: str) -> None:
    arns = [await join(server, user="ann") for _ in range(2)]
    await join(server, user="bob")
    joined = search(server, key, "user=ann&name=JOINED&order=asc")
    assert [(event["name"], event["stageArn"]) for event in joined["events"]] == [("JOINED", arn) for arn in arns]
    assert "nextCursor" not in joined


async def test_pages_are_stable_while_events_arrive(server: RunningServer, key: str) -> None:
    for _ in range(3):
        await join(server, user="pages")
    query, found = "user=pages&name=JOINED&limit=2", []
    page = search(server, key, query)
    found += page["events"]
    await join(server, user="pages")
    page = search(server, key, f"{query}&cursor={quote(page['nextCursor'])}")
    found += page["events"]
    assert len({event["id"] for event in found}) == 3
    assert [event["sequence"] for event in found] == sorted((event["sequence"] for event in found), reverse=True)


def test_a_cursor_of_nobody_is_refused(server: RunningServer, key: str) -> None:
    response = get(server, f"{PATH}?cursor=AAAA", key=key)
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_PARAMETER")
    assert response.json()["detail"].startswith("cursor: ")


async def test_a_lost_index_is_made_again(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as server:
        key = new_key(server)
        stage_arn = await join(server, user="ann")
        before = search(server, key, f"stage={stage_arn}")
        server.kill()
    index_path = DataFolder(tmp_path / "data").search_index_path
    assert stat.S_IMODE(index_path.stat().st_mode) == 0o600
    for path in index_path.parent.glob(f"{index_path.name}*"):
        path.unlink()
    server = start_server(tmp_path / "data")
    after = search(server, key, f"stage={stage_arn}")
    assert before["events"]
    assert after["events"][-len(before["events"]) :] == before["events"]
    assert {event["name"] for event in after["events"]} == {"JOINED", "LEFT"}
    server.stop()
