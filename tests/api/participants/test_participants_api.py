"""The paths and methods of the participants API, and its CORS header fields."""

from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.api.participants.participants_api import ParticipantsApi
from tests.api.participants.fake_manager import TOKEN, FakeManager


@pytest.fixture
def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(ParticipantsApi(FakeManager()))
    return httpx.AsyncClient(transport=transport, base_url="http://stagebook")


@pytest.mark.parametrize(
    ("path", "methods", "accept"),
    [
        ("/", "POST, OPTIONS", ("accept-post", "application/sdp")),
        ("/whip", "POST, OPTIONS", ("accept-post", "application/sdp")),
        ("/whip/publish/participant", "POST, OPTIONS", ("accept-post", "application/sdp")),
        ("/whip/subscribe/publisher", "POST, OPTIONS", ("accept-post", "application/sdp")),
        ("/whip/resource/one", "PATCH, DELETE, OPTIONS", ("accept-patch", "application/trickle-ice-sdpfrag")),
    ],
)
async def test_a_preflight_of_any_origin_is_answered(
    client: httpx.AsyncClient, path: str, methods: str, accept: tuple[str, str]
) -> None:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    response = await client.options(path, headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == methods
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "if-match", "x-stages-sdk", "*"} <= set(allowed)
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["allow"] == methods
    assert response.headers[accept[0]] == accept[1]


async def test_browsers_may_read_the_header_fields_that_clients_need(client: httpx.AsyncClient) -> None:
    response = await client.post("/whip")
    assert response.headers["access-control-allow-origin"] == "*"
    exposed = {name.strip() for name in response.headers["access-control-expose-headers"].split(",")}
    assert {"Location", "ETag", "Link", "Accept-Patch"} <= exposed


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, "/whip") for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE")),
        *((method, "/whip/publish/participant") for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE")),
        *((method, "/whip/subscribe/publisher") for method in ("GET", "HEAD", "PUT")),
        *((method, "/whip/resource/one") for method in ("GET", "HEAD", "PUT", "POST")),
    ],
)
async def test_an_unknown_method_is_a_405(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"].endswith("OPTIONS")


@pytest.mark.parametrize(
    "path", ["/whip/other", "/whip/resource/", "/whip/resource/a/b", "/whip/subscribe", "/whip/publish", "/events/"]
)
async def test_an_unknown_path_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(path)
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


async def test_a_plain_request_for_the_events_websocket_is_a_426(client: httpx.AsyncClient) -> None:
    response = await client.get("/events/abcdABCDefgh")
    assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"type": "http", "method": "POST", "path": "/"}, True),
        ({"type": "http", "method": "OPTIONS", "path": "/"}, True),
        ({"type": "http", "method": "GET", "path": "/"}, False),
        ({"type": "http", "method": "GET", "path": "/whip"}, True),
        ({"type": "http", "method": "POST", "path": "/whip/subscribe/x"}, True),
        ({"type": "http", "method": "POST", "path": "/whipped"}, False),
        ({"type": "http", "method": "GET", "path": "/events/x"}, True),
        ({"type": "http", "method": "POST", "path": "/CreateStage"}, False),
        ({"type": "websocket", "path": "/events/x"}, True),
    ],
)
def test_serves_tells_the_requests_of_this_api_from_others(scope: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert ParticipantsApi.serves(scope) is expected


random_bytes = st.binary(max_size=40)
header_values = st.one_of(
    random_bytes,
    st.sampled_from(
        [b"Bearer " + TOKEN.encode(), b"bearer", b"application/sdp", b"*", b'"ice-1"', b"99999999999999999999"]
    ),
)
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["POST", "PATCH", "DELETE", "OPTIONS", "GET", "BREW"]),
        "path": st.one_of(
            st.text(max_size=40).map(lambda tail: "/whip/" + tail),
            st.sampled_from(["/", "/whip", "/whip/publish/p", "/whip/subscribe/p", "/whip/resource/c", "/events/s"]),
        ),
        "headers": st.lists(
            st.tuples(
                st.sampled_from(
                    [b"authorization", b"content-type", b"content-length", b"if-match", b"user-agent", b"x"]
                ),
                header_values,
            ),
            max_size=5,
        ),
    }
)


@settings(max_examples=200, deadline=None)
@given(request=requests, body=st.binary(max_size=60))
async def test_no_request_causes_an_internal_error(request: dict[str, Any], body: bytes) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:  # noqa: ANN401 - an ASGI message
        sent.append(message)

    await ParticipantsApi(FakeManager())({"type": "http", **request}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] < 500
