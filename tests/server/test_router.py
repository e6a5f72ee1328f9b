"""The router: the API that each request is for, the logged path, and closing."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from stagebook.api.asgi import Application, Message, Receive, Scope, Send
from stagebook.api.request_starts import STARTS_PER_TURN
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ApiCall, ApiCaller, ApiResponse, ApiRoute, ReadBody
from stagebook.api.routes.route_api import RouteApi
from stagebook.server.router import AsgiRouter, path_template


def is_for_participants(scope: Scope) -> bool:
    return scope["path"].startswith("/whip") or (scope["path"], scope["method"]) == ("/", "POST")


def named_application(name: str) -> Application:
    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    return application


class NoAccess:
    """Lets nobody in."""

    async def authenticate(self, _scope: Scope, _read_body: ReadBody) -> ApiCaller:
        raise ApiRefusedError(status=401, code=ApiProblemCode.UNAUTHENTICATED, detail="nobody")


async def not_reached(_call: ApiCall) -> ApiResponse:
    raise AssertionError("nobody is let in")


SHOW_THING = ApiRoute(
    method="GET", template="/watch/v1/things/{id}", action="ShowThing", summary="", handle=not_reached
)


def router(
    *,
    aws: Application | None = None,
    participants: Application | None = None,
    log_requests: bool = False,
    livekit_webhooks: Application | None = None,
) -> AsgiRouter:
    return AsgiRouter(
        aws=aws or named_application("aws"),
        participants=participants or named_application("participants"),
        is_for_participants=is_for_participants,
        health=named_application("health"),
        watch=RouteApi(prefix="/watch/v1/", routes=[SHOW_THING], access=NoAccess()),
        log_requests=log_requests,
        console=named_application("console"),
        metrics=named_application("metrics"),
        livekit_webhooks=livekit_webhooks,
    )


async def connect() -> Message:
    return {"type": "websocket.connect"}


async def request(application: Application, method: str, path: str, *, kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": kind, "method": method, "path": path, "raw_path": path.encode(), "headers": []}
    await application(scope, connect, send)
    return sent


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/health", b"health"),
        ("GET", "/console", b"console"),
        ("GET", "/console/app.js", b"console"),
        ("GET", "/console2", b"aws"),
        ("GET", "/metrics", b"metrics"),
        ("POST", "/whip", b"participants"),
        ("POST", "/", b"participants"),
        ("POST", "/ListStages", b"aws"),
        ("GET", "/tags/arn", b"aws"),
        ("GET", "/favicon.ico", b"aws"),
    ],
)
async def test_each_request_is_passed_to_its_api(method: str, path: str, expected: bytes) -> None:
    _, body = await request(router(), method, path)
    assert body["body"] == expected


async def test_the_root_path_describes_the_server() -> None:
    start, body = await request(router(), "GET", "/")
    assert start["status"] == 200
    assert b"Stagebook" in body["body"]
    _, body = await request(router(), "HEAD", "/")
    assert body["body"] == b""


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_few_requests_begin_in_one_turn_of_the_event_loop(kind: str) -> None:
    begun = 0

    async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
        nonlocal begun
        begun += 1

    served = router(aws=application, participants=application)
    tasks = [asyncio.create_task(request(served, "POST", "/ListStages", kind=kind)) for _ in range(30)]
    counts = [0]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        counts.append(begun)
    assert begun == 30
    assert max(later - earlier for earlier, later in pairwise(counts)) <= STARTS_PER_TURN


async def test_paths_of_the_watch_api_are_passed_to_it() -> None:
    start, _ = await request(router(), "GET", "/watch/v1/things/1")
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (401, b"application/problem+json")
    start, _ = await request(router(), "GET", "/watch/v1/none")
    assert start["status"] == 404


@pytest.mark.parametrize(
    ("path", "template"), [("/watch/v1/things/a", "/watch/v1/things/{id}"), ("/watch/v1/sbk_1/x", "/watch/v1/(other)")]
)
async def test_a_logged_request_of_the_watch_api_shows_no_ids(path: str, template: str) -> None:
    with capture_logs() as lines:
        await request(router(log_requests=True), "GET", path)
    assert [line["path"] for line in lines] == [template]


async def test_websockets_are_passed_to_the_participants_api() -> None:
    _, body = await request(router(), "GET", "/events/abc", kind="websocket")
    assert body["body"] == b"participants"


async def test_a_closed_router_serves_only_health() -> None:
    closed = router()
    await closed.close(timeout_seconds=1)
    for path in ("/ListStages", "/whip", "/"):
        start, _ = await request(closed, "POST", path)
        assert start["status"] == 503
    start, _ = await request(closed, "GET", "/health")
    assert start["status"] == 200
    (close,) = await request(closed, "GET", "/events/abc", kind="websocket")
    assert close["type"] == "websocket.close"


async def test_closing_waits_for_requests_in_progress() -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await finish.wait()
        await named_application("slow")(scope, receive, send)

    slow_router = router(aws=slow)
    pending = asyncio.create_task(request(slow_router, "POST", "/ListStages"))
    await begun.wait()
    closing = asyncio.create_task(slow_router.close(timeout_seconds=30))
    await asyncio.sleep(0)
    assert not closing.done()
    finish.set()
    await closing
    assert (await pending)[1]["body"] == b"slow"


async def test_closing_waits_no_longer_than_its_timeout() -> None:
    begun = asyncio.Event()

    async def endless(_scope: Scope, _receive: Receive, _send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    endless_router = router(aws=endless)
    pending = asyncio.create_task(request(endless_router, "POST", "/ListStages"))
    await begun.wait()
    await endless_router.close(timeout_seconds=0.01)
    pending.cancel()


async def test_a_failed_request_is_not_counted_as_in_progress() -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("broken")

    broken_router = router(aws=broken)
    with pytest.raises(ValueError, match="broken"):
        await request(broken_router, "POST", "/ListStages")
    await broken_router.close(timeout_seconds=30)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/ListParticipantEvents", "/ListParticipantEvents"),
        ("/tags/arn:aws:ivs:us-west-2:1:stage/a", "/tags/{resourceArn}"),
        ("/whip", "/whip"),
        ("/whip/subscribe/abCDEf12GHIj", "/whip/subscribe/{participantId}"),
        ("/whip/resource/0123456789abcdef", "/whip/resource/{connectionId}"),
        ("/events/abcdABCDefgh", "/events/{topic}"),
        ("/eyJhbGciOiJFUzM4NCJ9.e30.c2ln", "(other)"),
    ],
)
def test_a_logged_path_contains_no_ids(path: str, template: str) -> None:
    assert path_template(path) == template


async def test_webhooks_of_livekit_are_served_with_livekit_only() -> None:
    with_livekit = router(livekit_webhooks=named_application("livekit"))
    for application, expected in ((with_livekit, b"livekit"), (router(), b"aws")):
        assert (await request(application, "POST", "/livekit/webhook"))[-1]["body"] == expected
