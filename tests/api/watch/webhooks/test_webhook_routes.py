"""The routes of webhooks over ASGI, with a real file of webhooks and without a delivery process."""

import json
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from stagebook.api.asgi import Scope
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ReadBody, Role
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.watch.webhooks.webhook_routes import WebhookRoutes
from stagebook.server.system_clock import SystemRandomness
from stagebook.stage.events import EventName
from stagebook.webhooks.delivery.delivery_journal import DeliveryJournal, JournalEntry
from stagebook.webhooks.delivery.delivery_schedule import DeliveryState
from stagebook.webhooks.webhook_file import DeliveryOrigin
from stagebook.webhooks.webhook_service import MAXIMUM_DESTINATIONS, NewDestination, WebhookService
from stagebook.webhooks.webhook_store import WebhookSeal
from tests.history.logged import logged
from tests.webhooks.destinations import SECRET

SEAL_SECRET = bytes(64)
ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
TARGET = "https://receiver.example/hook"
NOW_MS = 1_700_000_000_000


class Caller:
    """A caller with a role, as access and watcher at once."""

    name = "caller"

    def __init__(self) -> None:
        self.account_id = ACCOUNT
        self.role = Role.OPERATOR

    async def authenticate(self, _scope: Scope, _read_body: ReadBody) -> "Caller":
        return self

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        assert action.startswith("stagebook:")
        assert resource is None
        if role is Role.OPERATOR and self.role is not Role.OPERATOR:
            raise ApiRefusedError(status=403, code=ApiProblemCode.FORBIDDEN, detail="an operator may")


class Client:
    """Calls the API. `changes` counts how often the delivery process was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.caller = Caller()
        self.changes = 0
        self.service = WebhookService(
            source=folder / "book",
            file_path=folder / "webhooks",
            secret=SEAL_SECRET,
            randomness=SystemRandomness(),
            now_ms=lambda: NOW_MS,
        )
        routes = WebhookRoutes(self.service, backlogs=dict, on_changed=self._count)
        self.api = RouteApi(prefix="/watch/v1/", routes=routes.routes(), access=self.caller)

    def _count(self) -> None:
        self.changes += 1

    async def call(
        self, method: str, path: str = "", body: object = None, *, status: int = 200, query: str = ""
    ) -> Any:  # noqa: ANN401 - JSON
        """Send a request, check its status and return the JSON of its response."""
        sent: list[MutableMapping[str, Any]] = []
        content = b"" if body is None else json.dumps(body).encode()
        full_path = f"/watch/v1/webhooks{path}"

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": full_path,
            "raw_path": full_path.encode(),
            "query_string": query.encode(),
            "headers": [],
        }
        await self.api(scope, receive, send)
        answer = b"".join(message["body"] for message in sent[1:])
        assert sent[0]["status"] == status, answer
        return json.loads(answer) if answer else None

    async def create(self, **members: object) -> Any:  # noqa: ANN401 - JSON
        return await self.call("POST", body={"target": TARGET} | members, status=201)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


@pytest.fixture
def journal(client: Client) -> Iterator[DeliveryJournal]:
    journal = DeliveryJournal(client.folder / "webhooks", seal=WebhookSeal(SEAL_SECRET))
    yield journal
    journal.close()


async def test_a_secret_is_shown_once(client: Client) -> None:
    made = await client.create(name="mine", filter={"name": ["JOINED"], "error": "any"})
    assert made["secret"].startswith("whsec_")
    assert made["filter"] == {"name": ["JOINED"], "error": "any"}
    assert (made["kind"], made["format"], made["enabled"], made["managed"]) == ("http", "eventbridge", True, "api")
    shown = await client.call("GET", f"/{made['id']}")
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert await client.call("GET") == {"webhooks": [shown]}
    assert client.changes == 1


async def test_a_destination_is_changed_and_removed(client: Client) -> None:
    made = await client.create()
    changed = await client.call("PATCH", f"/{made['id']}", {"format": "cloudevents", "filter": {"user": "ann"}})
    assert (changed["format"], changed["filter"], changed["target"]) == ("cloudevents", {"user": "ann"}, TARGET)
    await client.call("DELETE", f"/{made['id']}", status=204)
    await client.call("GET", f"/{made['id']}", status=404)
    assert await client.call("GET") == {"webhooks": []}


async def test_a_rotation_keeps_the_previous_secret_for_a_while(client: Client) -> None:
    made = await client.create(secret=SECRET)
    rotated = await client.call("POST", f"/{made['id']}/rotate-secret", {"keepPreviousSeconds": 60})
    with client.service.open_store() as store:
        stored = store.get_destination(ACCOUNT, made["id"])
    assert rotated["secret"] != SECRET
    assert stored.signing_secrets(NOW_MS + 59_999) == (rotated["secret"], SECRET)
    assert stored.signing_secrets(NOW_MS + 60_000) == (rotated["secret"],)


async def test_a_destination_is_disabled_and_enabled(client: Client) -> None:
    made = await client.create()
    disabled = await client.call("POST", f"/{made['id']}/disable", {})
    assert (disabled["enabled"], disabled["disabledReason"]) == (False, "disabled by an operator")
    enabled = await client.call("POST", f"/{made['id']}/enable", {"startAt": "2023-11-14T00:00:00Z"})
    assert enabled["enabled"]


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"target": "https://user@host/"}, "target"),
        ({"target": "file:///etc/passwd"}, "target"),
        ({"target": 7}, "target"),
        ({"kind": "smoke"}, "kind"),
        ({"kind": "sns"}, "target"),
        ({"filter": {"error": "NONE"}}, "filter.error"),
        ({"filter": {"name": ["NONE"]}}, "filter.name"),
        ({"filter": {"other": "1"}}, "other"),
        ({"secret": "short"}, "secret"),
        ({"startAt": "yesterday"}, "startAt"),
        ({"startAt": "2023-11-14T00:00:00"}, "startAt"),
        ({"startAt": "9999-12-31T23:59:59.9999Z"}, "startAt"),
        ({"name": "a b"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_invalid_members_are_named(client: Client, members: dict[str, object], named: str) -> None:
    problem = await client.call("POST", body={"target": TARGET} | members, status=400)
    assert named in problem["detail"]
    assert await client.call("GET") == {"webhooks": []}


async def test_an_aws_service_needs_boto3(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    body = {"kind": "eventbridge", "target": "default"}
    problem = await client.call("POST", body=body, status=400)
    assert "pip install 'stagebook[aws]'" in problem["detail"]


async def test_an_account_does_not_see_or_change_the_destinations_of_another(client: Client) -> None:
    made = await client.create()
    client.caller.account_id = OTHER_ACCOUNT
    assert await client.call("GET") == {"webhooks": []}
    one = f"/{made['id']}"
    for method, path, body in [
        ("GET", one, None),
        ("GET", f"{one}/deliveries", None),
        ("GET", f"{one}/dead-letters", None),
        ("PATCH", one, {}),
        ("DELETE", one, None),
        ("POST", f"{one}/rotate-secret", {}),
        ("POST", f"{one}/enable", {}),
        ("POST", f"{one}/disable", {}),
        ("POST", f"{one}/replay", {"deadLetters": True}),
        ("POST", f"{one}/test", {}),
    ]:
        await client.call(method, path, body, status=404)


async def test_a_reader_reads_only(client: Client) -> None:
    made = await client.create()
    client.caller.role = Role.READER
    one = f"/{made['id']}"
    for path in ("", one, f"{one}/deliveries", f"{one}/dead-letters"):
        await client.call("GET", path)
    for route in client.api.routes:
        if route.method != "GET":
            path = route.template.removeprefix("/watch/v1/webhooks").replace("{webhook_id}", made["id"])
            body = {"target": TARGET} if route.action == "CreateWebhook" else {}
            await client.call(route.method, path, body, status=403)


async def test_a_destination_of_the_settings_cannot_be_changed(client: Client) -> None:
    client.service.use_settings(ACCOUNT, [NewDestination(target=TARGET, name="mine")])
    (shown,) = (await client.call("GET"))["webhooks"]
    assert (shown["id"], shown["managed"]) == ("settings-mine", "settings")
    await client.call("PATCH", "/settings-mine", {"format": "cloudevents"}, status=409)
    await client.call("DELETE", "/settings-mine", status=409)
    client.service.use_settings(ACCOUNT, [])
    assert await client.call("GET") == {"webhooks": []}


async def test_a_start_with_the_same_settings_changes_nothing(client: Client) -> None:
    setting = NewDestination(target=TARGET, name="mine")
    client.service.use_settings(ACCOUNT, [setting])
    with client.service.open_store() as store:
        (before,) = store.list_destinations()
        client.service.use_settings(ACCOUNT, [setting])
        assert store.list_destinations() == [before]
        client.service.use_settings(ACCOUNT, [NewDestination(target=f"{TARGET}/2", name="mine")])
        (after,) = store.list_destinations()
    assert (after.target, after.secrets, after.revision) == (f"{TARGET}/2", before.secrets, 2)


async def test_the_number_of_destinations_is_bounded(client: Client) -> None:
    for _ in range(MAXIMUM_DESTINATIONS):
        client.service.create(ACCOUNT, NewDestination(target=TARGET))
    problem = await client.call("POST", body={"target": TARGET}, status=402)
    assert problem["code"] == "QUOTA_EXCEEDED"


@pytest.mark.parametrize(
    ("start_at", "expected_ms"),
    [
        ("2023-11-14T22:13:19.001Z", 1_699_999_999_001),
        ("2023-11-14T22:13:19.001001Z", 1_699_999_999_002),
        ("2023-11-14T23:13:19+01:00", 1_699_999_999_000),
    ],
)
async def test_a_replay_begins_with_the_first_event_at_or_after_a_time(
    client: Client, start_at: str, expected_ms: int
) -> None:
    made = await client.create(startAt=start_at)
    with client.service.open_store() as store:
        assert store.position(made["id"]) + 1 == expected_ms << 20


@pytest.mark.parametrize("body", [{}, {"startAt": "now", "deadLetters": True}, {"startAt": "soon"}])
async def test_invalid_replays(client: Client, body: dict[str, object]) -> None:
    made = await client.create()
    problem = await client.call("POST", f"/{made['id']}/replay", body, status=400)
    assert "startAt" in problem["detail"]


async def test_the_number_of_replays_is_bounded(client: Client) -> None:
    made = await client.create()
    body = {"startAt": "1970-01-01T00:00:00Z"}
    for _ in range(10):
        assert await client.call("POST", f"/{made['id']}/replay", body, status=202) == {"webhookId": made["id"]}
    await client.call("POST", f"/{made['id']}/replay", body, status=409)


def entry(webhook_id: str, number: int, state: DeliveryState) -> JournalEntry:
    event = logged(EventName.JOINED, sequence=NOW_MS + number << 20)
    return JournalEntry(
        destination_id=webhook_id,
        run_key=1,
        sequence=event.sequence,
        session_id=event.session_id,
        origin=DeliveryOrigin.LIVE,
        state=state,
        attempts=number,
        status=500,
        error="why",
        now_ms=NOW_MS,
    ).of_event(event)


async def test_history_and_dead_letters_come_in_pages(client: Client, journal: DeliveryJournal) -> None:
    made = await client.create()
    for number in range(1, 6):
        journal.note(entry(made["id"], number, DeliveryState.DEAD))
    journal.flush({})
    for path, member, expected in [
        ("deliveries", "deliveries", [5, 4, 3, 2, 1]),
        ("dead-letters", "deadLetters", [1, 2, 3, 4, 5]),
    ]:
        found, query = [], "limit=2"
        while True:
            page = await client.call("GET", f"/{made['id']}/{path}", query=query)
            found += [each["attempts"] for each in page[member]]
            if "nextCursor" not in page:
                break
            query = f"limit=2&cursor={page['nextCursor']}"
        assert found == expected
    assert page[member][0]["error"] == "why"


async def test_a_file_that_cannot_be_used_is_no_secret_in_the_response(client: Client) -> None:
    await client.create()
    (client.folder / "webhooks").write_bytes(b"no database" * 100)
    problem = await client.call("GET", status=503)
    assert str(client.folder) not in problem["detail"]
