"""The lines on the pages of events and error codes cause what the pages say, with the members that they say."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from contrib.site.reference_notes import error_code_notes, event_notes
from contrib.site.testing_lines import http_lines
from stagebook.testing import StagebookServer, serve
from tests.e2e.server import Client
from tests.e2e.testing.controlled_server import ControlledServer
from tests.e2e.testing.simulated_peers import Peer
from tests.serving import ServerProcess

pytestmark = pytest.mark.site

REQUEST_EVENTS = [name for name, note in event_notes().items() if "ivs." not in note.test]
"""The events that requests of the testing API cause; the others take an operation of the AWS API."""


@pytest.fixture(scope="module")
def python_server() -> Iterator[StagebookServer]:
    with serve() as server:
        yield server


def run_lines(server: StagebookServer, lines: str) -> list[dict[str, Any]]:
    """Run the lines of the Python tab with a fresh account; return the events of everybody on the stage."""
    account = server.new_account()
    ivs = server.client(account=account)
    stage, other = (ivs.create_stage()["stage"]["arn"] for _ in range(2))
    names = {"participant": server.participant(stage), "viewer": server.participant(stage)}
    exec(lines, {**names, "encoder": server.encoder(stage_arn=stage), "ivs": ivs, "stage": stage, "other": other})  # noqa: S102 - the text of the documentation is what is tested
    return all_events(ivs, stage)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlledServer]:
    data: Path = tmp_path_factory.mktemp("event-causes") / "data"
    with ServerProcess(data, "--testing") as process, ControlledServer(process) as server:
        yield server


@pytest.fixture
def ivs(server: ControlledServer) -> Client:
    """A client of a fresh account."""
    return server.client()


@pytest.fixture
def peers(server: ControlledServer, ivs: Client) -> Mapping[str, Peer]:
    """Those that the lines speak of, on a new stage."""
    stage_arn = ivs.create_stage()["stage"]["arn"]
    kinds = {"participant": "participants", "viewer": "participants", "encoder": "encoders"}
    return {name: Peer(server, kind, stageArn=stage_arn) for name, kind in kinds.items()}


def send(server: ControlledServer, lines: str, peers: Mapping[str, Peer]) -> None:
    """Send the requests of the HTTP tab."""
    for line in http_lines(lines):
        for name, peer in peers.items():
            line = line.replace(f"{{{name}}}", str(peer.document["id"]))
        _, path, *body = line.replace("{participantId}", peers["participant"].participant_id).split(" ", 2)
        response = server.http.post(f"{server.server.url}{path}", json=json.loads(body[0]) if body else None)
        assert response.status_code == 200, response.text


def all_events(ivs: Client, stage_arn: str) -> list[dict[str, Any]]:
    """Return the events of everybody on the stage."""
    found = []
    for session in ivs.list_stage_sessions(stageArn=stage_arn)["stageSessions"]:
        key = {"stageArn": stage_arn, "sessionId": session["sessionId"]}
        for participant in ivs.list_participants(**key)["participants"]:
            page = ivs.list_participant_events(**key, participantId=participant["participantId"])
            found += page["events"]
    return found


def assert_members(event: dict[str, Any]) -> None:
    """Assert that an event has the members of its page."""
    note = event_notes()[event["name"]]
    beside = event.keys() - {"name", "participantId", "eventTime"}
    assert set(note.members) <= beside <= {*note.members, *note.optional}


@pytest.mark.parametrize("name", list(event_notes()))
def test_the_lines_of_an_event_cause_it(name: str, python_server: StagebookServer) -> None:
    events = run_lines(python_server, event_notes()[name].test)
    assert name in [event["name"] for event in events]
    for event in events:
        assert_members(event)


@pytest.mark.parametrize("code", list(error_code_notes()))
def test_the_lines_of_an_error_code_cause_it(code: str, python_server: StagebookServer) -> None:
    events = run_lines(python_server, error_code_notes()[code].test)
    found = {event["name"] for event in events if event.get("errorCode") == code}
    assert found
    assert found <= set(error_code_notes()[code].events)


@pytest.mark.parametrize("name", REQUEST_EVENTS)
def test_the_requests_of_an_event_cause_it(
    name: str, server: ControlledServer, ivs: Client, peers: Mapping[str, Peer]
) -> None:
    send(server, event_notes()[name].test, peers)
    events = all_events(ivs, peers["participant"].stage_arn)
    assert name in [event["name"] for event in events]
    for event in events:
        assert_members(event)


@pytest.mark.parametrize("code", list(error_code_notes()))
def test_the_requests_of_an_error_code_cause_it(
    code: str, server: ControlledServer, ivs: Client, peers: Mapping[str, Peer]
) -> None:
    send(server, error_code_notes()[code].test, peers)
    events = [event for event in all_events(ivs, peers["participant"].stage_arn) if event.get("errorCode") == code]
    assert {event["name"] for event in events} <= set(error_code_notes()[code].events)
    assert events
    for event in events:
        assert_members(event)
