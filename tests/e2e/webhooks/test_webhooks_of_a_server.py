"""Webhooks of a running server: made by API, settings and command line, and delivered across a crash of the server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.events_client import connect_events_client
from tests.e2e.server import RunningServer, run_server, start_server
from tests.e2e.watch.bearer import create_key
from tests.serving import run_command
from tests.webhooks.destinations import SECRET
from tests.webhooks.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def call(server: RunningServer, method: str, path: str, key: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    response = httpx.request(
        method, f"{server.endpoint_url}/watch/v1/webhooks{path}", headers={"Authorization": f"Bearer {key}"}, json=body
    )
    assert response.is_success, response.text
    return response.json() if response.content else None


def metrics_of(server: RunningServer) -> str:
    return httpx.get(f"{server.endpoint_url}/metrics").text


def new_token(server: RunningServer, stage_arn: str) -> str:
    created = server.client().create_participant_token(stageArn=stage_arn, userId="ann")
    return str(created["participantToken"]["token"])


def names_of(receiver: Receiver) -> list[str]:
    """Return the names of the accepted events, of one that a crash has repeated once."""
    return list({each.headers["webhook-id"]: each.body["detail"]["name"] for each in receiver.accepted}.values())


async def test_events_are_delivered_across_a_crash_of_the_server(tmp_path: Path, receiver: Receiver) -> None:
    server = start_server(tmp_path / "data")
    try:
        key = create_key(server, "operator")
        made = call(server, "POST", "", key, {"target": receiver.url, "secret": SECRET})
        stage_arn = server.client().create_stage(name="talk")["stage"]["arn"]
        async with connect_events_client(new_token(server, stage_arn)):
            receiver.wait_for_accepted(1)
            receiver.stop()
            async with connect_events_client(new_token(server, stage_arn)) as second:
                await second.wait_until(lambda participants: len(participants) == 2)
                server.kill()
        # The recovery of the next start records that both have left.
        server = start_server(tmp_path / "data")
        receiver.start()
        accepted = receiver.wait_for_accepted(4)
        assert names_of(receiver) == ["JOINED", "JOINED", "LEFT", "LEFT"]
        sequences = [int(each.body["detail"]["sequence"]) for each in accepted]
        assert sequences == sorted(sequences)
        assert {each.body["detail"]["stageArn"] for each in accepted} == {stage_arn}
        history = call(server, "GET", f"/{made['id']}/deliveries?limit=10", key)["deliveries"]
        assert {each["state"] for each in history} <= {"delivered", "retrying"}
        assert f'stagebook_webhook_backlog_events{{destination="{made["id"]}"}}' in metrics_of(server)
        assert SECRET not in server.log
    finally:
        server.stop()


async def test_destinations_of_the_settings_and_of_the_command_line(tmp_path: Path, receiver: Receiver) -> None:
    config = tmp_path / "stagebook.toml"
    config.write_text(
        f'[[webhooks]]\nname = "all"\ntarget = "{receiver.url}"\nsecret = "{SECRET}"\nformat = "cloudevents"\n'
        'filter = { name = ["JOINED"] }\n'
    )
    with run_server(tmp_path / "data", config=config) as server:
        data = str(server.data)
        stage_arn = server.client().create_stage(name="talk")["stage"]["arn"]
        async with connect_events_client(new_token(server, stage_arn)):
            (first,) = receiver.wait_for_accepted(1)
        assert first.body["type"] == "stagebook.participant.JOINED"
        added = run_command("webhooks", "add", receiver.url, "--secret", SECRET, "--event", "LEFT", "--data", data)
        assert added.returncode == 0, added.stderr
        made = httpx.Response(200, content=added.stdout).json()
        tested = run_command("webhooks", "test", made["id"], "--data", data)
        assert (tested.returncode, tested.stdout) == (0, "delivered with status 204\n"), tested.stderr
        listed = run_command("webhooks", "list", "--data", data).stdout
        assert "settings-all" in listed
        assert made["id"] in listed
        refused = run_command("webhooks", "remove", "settings-all", "--data", data)
        assert (refused.returncode, "defined in the settings" in refused.stderr) == (1, True)
        history = run_command("webhooks", "deliveries", made["id"], "--data", data).stdout
        assert "test" in history
        assert run_command("webhooks", "remove", made["id"], "--data", data).returncode == 0
    assert "level=error" not in server.log


def test_an_invalid_destination_of_the_settings_stops_the_start(tmp_path: Path) -> None:
    config = tmp_path / "stagebook.toml"
    config.write_text('[[webhooks]]\nname = "bad"\ntarget = "https://user@host/"\n')
    ended = run_command("serve", "--config", str(config), "--data", str(tmp_path / "data"))
    assert ended.returncode == 2
    assert "setting webhooks: bad: target: must have no user name" in ended.stderr
