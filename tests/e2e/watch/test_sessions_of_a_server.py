"""Sessions, the overview and exports of a running server, and the command line on its data folder at the same time."""

import csv
import io
import json
from typing import Any

from tests.clients.events_client import connect_events_client
from tests.e2e.server import RunningServer
from tests.e2e.watch.bearer import create_key, get, wait_for_status
from tests.serving import run_command


async def test_a_session_is_reported_while_it_runs_and_after_its_end(server: RunningServer) -> None:
    key = create_key(server, "reader", "--name", "reports")
    wait_for_status(server, "/watch/v1/me", key=key, status=200)
    ivs = server.client()
    created = ivs.create_stage(name="reported", participantTokenConfigurations=[{"userId": "=1+1"}])
    arn, token = created["stage"]["arn"], created["participantTokens"][0]["token"]

    async with connect_events_client(token) as client:
        await client.wait_until(lambda participants: len(participants) == 1)
        (stage,) = (each for each in answer(server, "/watch/v1/stages", key)["stages"] if each["stageArn"] == arn)
        assert (stage["participants"], stage["publishers"]) == (1, 0)
        session_id = stage["sessionId"]
        (listed,) = answer(server, f"/watch/v1/sessions?stage={arn}&state=open", key)["sessions"]
        assert listed["sessionId"] == session_id
        report = answer(server, f"/watch/v1/sessions/{session_id}", key)
        assert [interval["end"] for interval in report["participants"][0]["joined"]] == [None]
        on_stage = run_command("sessions", "show", session_id, "--data", str(server.data))
        assert "on stage" in on_stage.stdout, on_stage.stderr

    ivs.delete_stage(arn=arn)
    report = answer(server, f"/watch/v1/sessions/{session_id}", key)
    assert report["session"]["state"] == "ENDED"
    (participant,) = report["participants"]
    assert participant["joined"][0]["end"] is not None
    assert report["totals"]["participantMs"] == participant["joinedMs"]
    sheet = get(server, f"/watch/v1/sessions/{session_id}/attendance", key=key)
    (row,) = csv.DictReader(io.StringIO(sheet.text, newline=""))
    assert row["User"] == "'=1+1"
    exported = get(server, f"/watch/v1/events/export?session={session_id}", key=key)
    by_command = run_command("events", "export", "--session", session_id, "--output", "-", "--data", str(server.data))
    assert exported.text == by_command.stdout
    assert [json.loads(line)["name"] for line in exported.text.splitlines()] == ["JOINED", "LEFT"]


def answer(server: RunningServer, path: str, key: str) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of a GET request."""
    response = get(server, path, key=key)
    assert response.status_code == 200, response.text
    return response.json()
