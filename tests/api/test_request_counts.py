"""The request counts: what each API counts under which operation and status."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from stagebook.api.participants.participants_api import ParticipantsApi
from stagebook.api.request_counts import RequestCounts
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, StreamingResponse, json_response
from stagebook.api.routes.route_api import RouteApi
from stagebook.stage.errors import ServerBusyError
from tests.api.aws.asgi_harness import STAGE_ARN, new_api, send_request, signed_call, unsigned
from tests.api.participants.fake_manager import FakeManager
from tests.api.routes.test_route_api import Everybody


def counted(requests: RequestCounts) -> dict[tuple[str, int], int]:
    return {(name, status): count for name, of in requests for status, count in of.by_status.items()}


def test_a_duration_is_counted_with_its_request_only() -> None:
    requests = RequestCounts("aws")
    requests.observe("GetStage", 200, 0.01)
    requests.observe("GetStage", 400, 0.3)
    requests.count("Stream", 200)
    assert counted(requests) == {("GetStage", 200): 1, ("GetStage", 400): 1, ("Stream", 200): 1}
    latency = {name: (of.latency.count, of.latency.sum_seconds) for name, of in requests}
    assert latency == {"GetStage": (2, 0.31), "Stream": (0, 0.0)}


async def test_the_aws_api_counts_by_operation_and_status() -> None:
    requests = RequestCounts("aws")
    api = new_api(requests=requests)
    await send_request(api, signed_call("GetStage", {"arn": STAGE_ARN}))
    await send_request(api, signed_call("GetStage", {}))
    await send_request(api, signed_call("GetStage", {"arn": STAGE_ARN}, secret="wrong" * 8))
    await send_request(api, signed_call("ListStages"))
    await send_request(api, unsigned("/NoSuchOperation"))
    await send_request(api, unsigned("/GetStage", method="OPTIONS"))
    assert counted(requests) == {
        ("GetStage", 200): 1,
        ("GetStage", 400): 1,
        ("GetStage", 403): 1,
        ("ListStages", 404): 1,
        ("Unknown", 404): 1,
        ("Preflight", 405): 1,
    }


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/whip", "Publish"),
        ("POST", "/whip/publish/p", "Publish"),
        ("POST", "/whip/subscribe/p", "Subscribe"),
        ("PATCH", "/whip/resource/c", "PatchConnection"),
        ("DELETE", "/whip/resource/c", "EndConnection"),
        ("GET", "/whip/resource/c/layers", "ListLayers"),
        ("POST", "/whip/resource/c/layers", "SelectLayer"),
        ("PUT", "/whip/resource/c", "Unknown"),
        ("GET", "/whip/secret-token", "Unknown"),
        ("OPTIONS", "/whip", "Preflight"),
    ],
)
async def test_the_participants_api_counts_by_operation_and_status(method: str, path: str, operation: str) -> None:
    requests = RequestCounts("participants")
    transport = httpx.ASGITransport(ParticipantsApi(FakeManager(), requests=requests))
    response = await httpx.AsyncClient(transport=transport, base_url="http://stagebook").request(method, path)
    assert counted(requests) == {(operation, response.status_code): 1}


async def test_the_watch_api_counts_by_action_and_status() -> None:
    async def show(_call: ApiCall) -> ApiResponse:
        return json_response({})

    requests = RequestCounts("watch")
    route = ApiRoute(method="GET", template="/watch/v1/things/{id}", action="GetThing", summary="", handle=show)
    listed = ApiRoute(
        method="GET",
        template="/watch/v1/kinds/{kind}/{id}",
        action="GetKind",
        summary="",
        handle=show,
        path_values={"kind": ("one", "two")},
    )
    api = RouteApi(prefix="/watch/v1/", routes=[route, listed], access=Everybody(), requests=requests)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://stagebook")
    await client.get("/watch/v1/things/one")
    await client.get("/watch/v1/things/two")
    await client.get("/watch/v1/things/two", headers={"authorization": "no"})
    await client.get("/watch/v1/nothing")
    await client.get("/watch/v1/kinds/two/secret")
    await client.get("/watch/v1/kinds/secret/secret")
    assert counted(requests) == {
        ("GetThing", 200): 2,
        ("GetThing", 401): 1,
        ("Unknown", 404): 1,
        ("GetKind two", 200): 1,
        ("GetKind", 200): 1,
    }


@pytest.mark.parametrize(("kind", "status"), [("works", 200), ("fails", 503)])
async def test_a_stream_is_counted_once_with_the_status_that_is_sent(kind: str, status: int) -> None:
    async def parts() -> AsyncGenerator[bytes, None]:
        if kind == "fails":
            raise ServerBusyError("later")
        yield b"one"

    async def stream(_call: ApiCall) -> ApiResponse:
        return StreamingResponse(parts=parts())

    requests = RequestCounts("watch")
    route = ApiRoute(method="GET", template="/watch/v1/parts", action="ReadParts", summary="", handle=stream)
    api = RouteApi(prefix="/watch/v1/", routes=[route], access=Everybody(), requests=requests)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://stagebook")
    assert (await client.get("/watch/v1/parts")).status_code == status
    assert counted(requests) == {("ReadParts", status): 1}
