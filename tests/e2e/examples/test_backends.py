"""The HTTP interface of examples/README.md, which all backends have, against a running server."""

import json
import re
import shutil
import subprocess
import time
from http.client import HTTPConnection
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.clients.publisher import Publisher
from tests.clients.stage_client import token_payload
from tests.e2e.examples.example_backends import ORIGIN, BuiltBackend, running
from tests.e2e.examples.recorded_stages import (
    PUBLISHER_ID,
    SESSION_ID,
    STAGE_NAME,
    VIEWER_ID,
    recorded_events,
)
from tests.e2e.server import RunningServer

BUILD_SECONDS = 600
DEADLINE_SECONDS = 25
POLL_SECONDS = 0.1
PAGE_OF_PARTICIPANTS = 50
"""The participants on a page of ListParticipants, if the request does not say how many."""
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

pytestmark = pytest.mark.timeout(BUILD_SECONDS)  # the first test of a backend builds it


def post(backend: httpx.Client, path: str, **members: object) -> dict[str, Any]:
    """Post an object that is accepted. Returns the answer."""
    response = backend.post(path, json=members)
    assert response.status_code in {200, 201}, response.text
    answer: dict[str, Any] = response.json()
    return answer


def get(backend: httpx.Client, path: str) -> dict[str, Any]:
    response = backend.get(path)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_published_package_is_used(built: BuiltBackend) -> None:
    """Skipped, with the reason, where the other tests of the backend run with the stand-in."""
    if built.missing is not None:
        pytest.skip(f"the package for IVS Real-Time cannot be installed: {built.missing}")


@pytest.fixture
def new_name() -> str:
    """The name of a stage that does not exist."""
    return f"stage-{uuid4()}"


def test_a_stage_is_created_once(backend: httpx.Client, server: RunningServer, new_name: str) -> None:
    created, found = (backend.post("/stages", json={"name": new_name}) for _ in range(2))
    assert (created.status_code, found.status_code) == (201, 200)
    arn = created.json()["arn"]
    assert created.json() == found.json() == {"name": new_name, "arn": arn}
    assert server.client().get_stage(arn=arn)["stage"]["name"] == new_name


def test_a_stage_beyond_the_first_page_is_found(backend: httpx.Client) -> None:
    assert backend.post("/stages", json={"name": STAGE_NAME}).status_code == 200


@pytest.mark.parametrize(
    ("role", "capabilities"), [("host", {"PUBLISH", "SUBSCRIBE"}), ("viewer", {"SUBSCRIBE"})], ids=["host", "viewer"]
)
def test_a_token_permits_what_the_role_may_do(backend: httpx.Client, role: str, capabilities: set[str]) -> None:
    answer = post(backend, f"/stages/{STAGE_NAME}/tokens", userId="ann@example.com", role=role)
    payload = token_payload(answer.pop("token"))
    assert answer == {
        "participantId": payload["jti"],
        "userId": "ann@example.com",
        "role": role,
        "expirationTime": answer["expirationTime"],
    }
    assert re.fullmatch(TIME, answer["expirationTime"])
    assert {name for name, is_allowed in payload["capabilities"].items() if is_allowed} == {
        f"allow_{capability.lower()}" for capability in capabilities
    }
    assert payload["attributes"] == {"role": role}


async def test_a_publisher_is_on_stage_and_has_events(backend: httpx.Client, new_name: str) -> None:
    post(backend, "/stages", name=new_name)
    assert get(backend, f"/stages/{new_name}/participants") == {"sessionId": None, "participants": []}
    token = post(backend, f"/stages/{new_name}/tokens", userId="ann", role="host")
    events_path = f"/stages/{new_name}/participants/{token['participantId']}/events"
    assert get(backend, events_path) == {"sessionId": None, "events": []}

    publisher = Publisher(token["token"])
    published = await publisher.start()
    wait_for_event(backend, events_path, "PUBLISH_STARTED")
    answer = get(backend, f"/stages/{new_name}/participants")
    joined = {"participantId": token["participantId"], "userId": "ann", "published": True}
    assert [{**each, "firstJoinTime": None} for each in answer["participants"]] == [{**joined, "firstJoinTime": None}]
    assert re.fullmatch(TIME, answer["participants"][0]["firstJoinTime"])

    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token['token']}"}) as client:
        await client.delete(published.headers["location"])
    await publisher.stop()
    events = get(backend, events_path)
    assert events["sessionId"] == answer["sessionId"]
    assert [event["name"] for event in events["events"]] == ["LEFT", "PUBLISH_STOPPED", "PUBLISH_STARTED", "JOINED"]
    assert get(backend, f"/stages/{new_name}/participants") == {"sessionId": answer["sessionId"], "participants": []}


def wait_for_event(backend: httpx.Client, path: str, name: str) -> None:
    deadline_seconds = time.monotonic() + DEADLINE_SECONDS
    while name not in {event["name"] for event in get(backend, path)["events"]}:
        assert time.monotonic() < deadline_seconds
        time.sleep(POLL_SECONDS)


def test_all_pages_of_the_events_are_listed(backend: httpx.Client) -> None:
    answer = get(backend, f"/stages/{STAGE_NAME}/participants/{VIEWER_ID}/events?sessionId={SESSION_ID}")
    assert answer["sessionId"] == SESSION_ID
    assert [(event["name"], event["eventTime"]) for event in answer["events"]] == recorded_events()
    assert answer["events"][0].keys() == {"name", "participantId", "eventTime"}
    assert answer["events"][1]["remoteParticipantId"] == PUBLISHER_ID


def test_all_pages_of_the_participants_are_listed(backend: httpx.Client, server: RunningServer, new_name: str) -> None:
    stage_arn = post(backend, "/stages", name=new_name)["arn"]
    with httpx.Client(base_url=f"{server.endpoint_url}/testing/v1", timeout=30) as testing:
        joined = [join(testing, stage_arn) for _ in range(PAGE_OF_PARTICIPANTS + 10)]
    answer = get(backend, f"/stages/{new_name}/participants")
    assert {each["participantId"] for each in answer["participants"]} == {*joined}
    assert len(answer["participants"]) == len(joined)


def join(testing: httpx.Client, stage_arn: str) -> str:
    """Let a participant without media join. Returns its participant id."""
    participant = post(testing, "/participants", stageArn=stage_arn)
    participant_id: str = post(testing, f"/participants/{participant['id']}/join")["participantId"]
    return participant_id


def test_events_without_a_session_are_those_of_the_newest(backend: httpx.Client) -> None:
    answer = get(backend, f"/stages/{STAGE_NAME}/participants/{VIEWER_ID}/events")
    assert answer["sessionId"] == SESSION_ID
    assert len(answer["events"]) == len(recorded_events())


NAME_RULE = "the name of a stage must be 1 to 128 letters, digits, _ or -"
USER_RULE = "userId must be 1 to 128 letters, digits, _ . @ or -"
EVENTS = f"/stages/{STAGE_NAME}/participants"


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/stages", '{"name": "no spaces"}', 400, NAME_RULE),
        ("/stages", '{"name": "%s"}' % ("a" * 129), 400, NAME_RULE),
        ("/stages", '{"name": ""}', 400, NAME_RULE),
        ("/stages", '{"name": 7}', 400, NAME_RULE),
        ("/stages", "{}", 400, NAME_RULE),
        ("/stages", '["name"]', 400, "the body must be a JSON object"),
        ("/stages", '{"name": ', 400, "the body must be a JSON object"),
        ("/stages", "[" * 16_000, 400, "the body must be a JSON object"),
        ("/stages", "", 400, "the body must be a JSON object"),
        ("/stages/a%20b/tokens", '{"userId": "ann", "role": "host"}', 400, NAME_RULE),
        ("/stages/archive/tokens", '{"role": "host"}', 400, USER_RULE),
        ("/stages/archive/tokens", '{"userId": "a\\nb", "role": "host"}', 400, USER_RULE),
        ("/stages/archive/tokens", '{"userId": "ann\\n", "role": "host"}', 400, USER_RULE),
        ("/stages/archive/tokens", '{"userId": "ann", "role": "owner"}', 400, "role must be host or viewer"),
        ("/stages/archive/tokens", '{"userId": "ann"}', 400, "role must be host or viewer"),
        ("/stages/missing/tokens", '{"userId": "ann", "role": "host"}', 404, "there is no stage named missing"),
        ("/stages/archive/participants", "{}", 405, "the method must be GET"),
        ("/rooms", "{}", 404, "there is no such route"),
    ],
)
def test_a_bad_post_is_refused_with_the_rule(
    backend: httpx.Client, path: str, body: str, status: int, error: str
) -> None:
    response = backend.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()) == (status, {"error": error})


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/stages/missing/participants", 404, "there is no stage named missing"),
        ("/stages/a%2Fb/participants", 400, NAME_RULE),
        (f"{EVENTS}/a_b/events", 400, "the id of a participant must be 1 to 64 letters, digits or -"),
        (f"{EVENTS}/{VIEWER_ID}/events?sessionId=7", 400, "sessionId must be st- and 1 to 61 letters or digits"),
        ("/stages", 405, "the method must be POST"),
        ("/", 404, "there is no such route"),
    ],
)
def test_a_bad_get_is_refused_with_the_rule(backend: httpx.Client, path: str, status: int, error: str) -> None:
    response = backend.get(path)
    assert (response.status_code, response.json()) == (status, {"error": error})


def test_a_body_of_another_type_is_refused(backend: httpx.Client) -> None:
    response = backend.post("/stages", content='{"name": "x"}', headers={"Content-Type": "text/plain"})
    assert (response.status_code, response.json()) == (415, {"error": "Content-Type must be application/json"})


def test_a_long_body_is_refused_before_it_is_read(backend: httpx.Client) -> None:
    """The client sends the header fields alone. It would get no answer from a server that reads the body first."""
    address = backend.base_url
    connection = HTTPConnection(address.host, address.port, timeout=30)
    connection.putrequest("POST", "/stages")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "16385")
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (413, {"error": "the body may have 16384 bytes"})
    connection.close()


def test_the_commands_of_the_readme_work(url: str, built: BuiltBackend) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    readme = (built.folder / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"```sh\n(json=.*?)```", readme, re.DOTALL)
    assert len(commands) == 1
    script = 'curl() { command curl --silent --fail "$@"; echo; }\n' + commands[0].replace("http://127.0.0.1:8001", url)
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=60, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert [answer.keys() & {"arn", "token", "participants", "events"} for answer in answers] == [
        {"arn"},
        {"token"},
        {"participants"},
        {"events"},
    ]


def test_a_page_of_the_allowed_origin_may_call(backend: httpx.Client) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    response = backend.request("OPTIONS", "/stages", headers=asked)
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert backend.get(EVENTS).headers["Access-Control-Allow-Origin"] == ORIGIN


def test_a_refusal_of_ivs_is_reported(server: RunningServer, built: BuiltBackend) -> None:
    environment = {**server.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    with running(built, environment) as url:
        response = httpx.get(f"{url}/stages/any/participants", timeout=30)
    assert response.status_code == 502
    assert response.json()["error"].startswith("IVS refused: ")


def test_a_server_that_cannot_be_reached_is_reported(server: RunningServer, built: BuiltBackend) -> None:
    environment = {**server.environment, "AWS_ENDPOINT_URL_IVS_REALTIME": "http://127.0.0.1:1"}
    with running(built, environment) as url:
        response = httpx.get(f"{url}/stages/any/participants", timeout=60)
    assert (response.status_code, response.json()) == (502, {"error": "IVS cannot be called"})
