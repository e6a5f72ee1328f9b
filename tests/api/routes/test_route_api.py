"""The frame of the watch API: routing, validation, streams, and errors as problem details."""

import asyncio
import json
from collections.abc import AsyncGenerator, MutableMapping
from typing import Annotated, Any

import msgspec
import pytest

from stagebook.api.asgi import Scope
from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import (
    ApiCall,
    ApiResponse,
    ApiRoute,
    ReadBody,
    Role,
    StreamingResponse,
    json_response,
)
from stagebook.api.routes.route_api import MAXIMUM_BODY_SIZE_BYTES, MAXIMUM_REQUESTS, RouteApi
from stagebook.stage.errors import ResourceNotFoundError, ServerBusyError


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50
    name: tuple[str, ...] = ()
    since: int | None = None


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str


class Everybody:
    """An access that lets everybody in, except requests that say `authorization: no`."""

    account_id = "123456789012"
    name = "everybody"

    async def authenticate(self, scope: Scope, read_body: ReadBody) -> "Everybody":
        if (b"authorization", b"no") in scope["headers"]:
            raise ApiRefusedError(status=401, code=ApiProblemCode.UNAUTHENTICATED, detail="no such key")
        await read_body()
        return self

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        """Allow it."""


async def show(call: ApiCall) -> ApiResponse:
    return json_response({"path": dict(call.path), "limit": call.query.limit, "name": call.query.name})


async def create(call: ApiCall) -> ApiResponse:
    return json_response({"url": call.body.url}, status=201)


async def fail(call: ApiCall) -> ApiResponse:
    errors: dict[str, Exception] = {
        "missing": ResourceNotFoundError(kind="session", name="st-1"),
        "busy": ServerBusyError("later"),
        "bug": RuntimeError("a secret"),
    }
    raise errors[call.path["kind"]]


gate = asyncio.Event()


async def wait(_call: ApiCall) -> ApiResponse:
    await gate.wait()
    return json_response({})


closed: list[str] = []


async def stream(_call: ApiCall) -> ApiResponse:
    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append("closed")

    return StreamingResponse(parts=parts(), headers=((b"content-type", b"text/event-stream"),))


API = RouteApi(
    prefix="/watch/v1/",
    routes=[
        ApiRoute(
            method="GET", template="/watch/v1/things/{id}", action="Show", summary="", handle=show, query=Parameters
        ),
        ApiRoute(method="POST", template="/watch/v1/things", action="Create", summary="", handle=create, body=Body),
        ApiRoute(
            method="PUT",
            template="/watch/v1/things",
            action="Replace",
            summary="",
            handle=create,
            body=Body,
            is_body_optional=True,
        ),
        ApiRoute(method="GET", template="/watch/v1/fail/{kind}", action="Fail", summary="", handle=fail),
        ApiRoute(method="GET", template="/watch/v1/wait", action="Wait", summary="", handle=wait),
        ApiRoute(method="GET", template="/watch/v1/stream", action="Stream", summary="", handle=stream),
    ],
    access=Everybody(),
)


async def request(
    path: str, *, method: str = "GET", query: str = "", body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> tuple[HttpResponse, list[bytes]]:
    """Send a request to the API; return its response and the parts of its body."""
    sent: list[MutableMapping[str, Any]] = []

    received = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        return received.pop() if received else await asyncio.get_running_loop().create_future()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": list(headers),
    }
    assert API.serves(scope)
    await API(scope, receive, send)
    parts = [message["body"] for message in sent[1:]]
    return HttpResponse(status=sent[0]["status"], headers=sent[0]["headers"], body=b"".join(parts)), parts


async def test_a_route_gets_its_placeholders_and_its_parameters() -> None:
    response, _ = await request("/watch/v1/things/a%20b", query="limit=7&name=x&name=y")
    assert json.loads(response.body) == {"path": {"id": "a b"}, "limit": 7, "name": ["x", "y"]}
    assert (b"cache-control", b"no-store") in response.headers


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=0", "limit: Expected `int` >= 1"),
        ("limit=many", "limit: Expected `int`, got `str`"),
        ("limit=1&limit=2", "limit: may occur once only"),
        ("since=null", "since: must not be null"),
        ("size=1", "Object contains unknown field `size`"),
        ("limit=%ff", "the query string is malformed"),
        ("&".join(["name=x"] * 65), "the query string is malformed"),
        ("name=" + "x" * 8_192, "the query may have at most 8192 bytes"),
    ],
)
async def test_a_wrong_parameter_is_named(query: str, detail: str) -> None:
    response, _ = await request("/watch/v1/things/1", query=query)
    problem = json.loads(response.body)
    assert (response.status, problem["code"]) == (400, "INVALID_PARAMETER")
    assert problem["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{}", "Object missing required field `url`"),
        (b'{"url": 1}', "url: Expected `str`, got `int`"),
        (b'{"url": "x", "uri": ""}', "Object contains unknown field `uri`"),
        (b"[" * 100, "the body is nested deeper than 32"),
        (b"", "Input data was truncated"),
    ],
)
async def test_a_wrong_body_is_explained(body: bytes, detail: str) -> None:
    response, _ = await request("/watch/v1/things", method="POST", body=body)
    assert (response.status, json.loads(response.body)["detail"]) == (400, detail)


async def test_an_empty_body_is_an_empty_object_where_the_body_is_optional() -> None:
    response, _ = await request("/watch/v1/things", method="PUT")
    assert json.loads(response.body)["detail"] == "Object missing required field `url`"


async def test_a_body_is_decoded_and_bounded() -> None:
    response, _ = await request("/watch/v1/things", method="POST", body=b'{"url": "x"}')
    assert (response.status, json.loads(response.body)) == (201, {"url": "x"})
    response, _ = await request("/watch/v1/things", method="POST", body=b" " * (MAXIMUM_BODY_SIZE_BYTES + 1))
    assert (response.status, json.loads(response.body)["code"]) == (413, "TOO_LARGE")


async def test_unknown_paths_and_methods_are_refused() -> None:
    response, _ = await request("/watch/v1/nothing")
    assert (response.status, json.loads(response.body)["code"]) == (404, "NOT_FOUND")
    response, _ = await request("/watch/v1/things/1", method="PUT")
    assert (response.status, json.loads(response.body)["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert (b"allow", b"GET, HEAD") in response.headers
    response, _ = await request("/watch/v1/things", method="HEAD")
    assert (response.status, response.body) == (405, b"")
    assert (b"allow", b"POST, PUT") in response.headers


async def test_head_is_answered_as_get_without_the_body() -> None:
    for path in ("/watch/v1/things/1", "/watch/v1/fail/missing"):
        got, _ = await request(path)
        head, _ = await request(path, method="HEAD")
        assert got.body
        assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")
    closed.clear()
    head, parts = await request("/watch/v1/stream", method="HEAD")
    assert (head.status, parts, closed) == (200, [b""], ["closed"])
    assert (b"content-type", b"text/event-stream") in head.headers


async def test_a_request_without_credentials_is_refused() -> None:
    response, _ = await request("/watch/v1/things/1", headers=((b"authorization", b"no"),))
    assert (response.status, json.loads(response.body)["code"]) == (401, "UNAUTHENTICATED")
    assert (b"content-type", b"application/problem+json") in response.headers


@pytest.mark.parametrize(("kind", "status"), [("missing", 404), ("busy", 503), ("bug", 500)])
async def test_an_error_becomes_a_problem_and_shows_no_secret(kind: str, status: int) -> None:
    response, _ = await request(f"/watch/v1/fail/{kind}")
    assert response.status == status
    assert b"a secret" not in response.body


async def test_a_stream_is_sent_part_by_part_and_closed() -> None:
    closed.clear()
    response, parts = await request("/watch/v1/stream")
    assert (response.status, parts) == (200, [b"one", b"two", b""])
    assert closed == ["closed"]


async def test_one_key_has_half_of_the_requests_in_progress_at_most() -> None:
    gate.clear()
    waiting = [asyncio.create_task(request("/watch/v1/wait")) for _ in range(MAXIMUM_REQUESTS // 2)]
    await asyncio.sleep(0)
    response, _ = await request("/watch/v1/things/1")
    assert (response.status, json.loads(response.body)["code"]) == (429, "TOO_MANY_REQUESTS")
    assert "48 requests in progress" in json.loads(response.body)["detail"]
    gate.set()
    assert {(await each)[0].status for each in waiting} == {200}
    response, _ = await request("/watch/v1/things/1")
    assert response.status == 200
