"""The router: which door a request is for, what may be logged of it, and how the gate closes."""

import asyncio

import pytest

from stagebook.api.asgi import Application, Message, Receive, Scope, Send
from stagebook.server.router import Router, path_template


def door(name: str) -> Application:
    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    return application


def router(*, aws: Application | None = None) -> Router:
    return Router(
        aws=aws or door("aws"),
        join=door("join"),
        joins=lambda scope: scope["path"].startswith("/whip") or (scope["path"], scope["method"]) == ("/", "POST"),
        health=door("health"),
    )


async def connect() -> Message:
    return {"type": "websocket.connect"}


async def ask(application: Application, method: str, path: str, *, kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await application({"type": kind, "method": method, "path": path}, connect, send)
    return sent


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/health", b"health"),
        ("POST", "/whip", b"join"),
        ("POST", "/", b"join"),
        ("POST", "/ListStages", b"aws"),
        ("GET", "/tags/arn", b"aws"),
        ("GET", "/favicon.ico", b"aws"),
    ],
)
async def test_each_request_has_its_door(method: str, path: str, expected: bytes) -> None:
    _, body = await ask(router(), method, path)
    assert body["body"] == expected


async def test_a_person_who_opens_the_address_is_told_what_it_is() -> None:
    start, body = await ask(router(), "GET", "/")
    assert start["status"] == 200
    assert b"Stagebook" in body["body"]
    _, body = await ask(router(), "HEAD", "/")
    assert body["body"] == b""


async def test_websockets_are_the_participants() -> None:
    _, body = await ask(router(), "GET", "/events/abc", kind="websocket")
    assert body["body"] == b"join"


async def test_a_closed_gate_lets_only_health_through() -> None:
    closed = router()
    await closed.close(timeout_seconds=1)
    for path in ("/ListStages", "/whip", "/"):
        start, _ = await ask(closed, "POST", path)
        assert start["status"] == 503
    start, _ = await ask(closed, "GET", "/health")
    assert start["status"] == 200
    (close,) = await ask(closed, "GET", "/events/abc", kind="websocket")
    assert close["type"] == "websocket.close"


async def test_closing_waits_for_requests_on_their_way() -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await finish.wait()
        await door("slow")(scope, receive, send)

    slow_router = router(aws=slow)
    request = asyncio.create_task(ask(slow_router, "POST", "/ListStages"))
    await begun.wait()
    closing = asyncio.create_task(slow_router.close(timeout_seconds=30))
    await asyncio.sleep(0)
    assert not closing.done()
    finish.set()
    await closing
    assert (await request)[1]["body"] == b"slow"


async def test_closing_does_not_wait_for_ever() -> None:
    begun = asyncio.Event()

    async def endless(_scope: Scope, _receive: Receive, _send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    endless_router = router(aws=endless)
    request = asyncio.create_task(ask(endless_router, "POST", "/ListStages"))
    await begun.wait()
    await endless_router.close(timeout_seconds=0.01)
    request.cancel()


async def test_a_failed_request_is_not_counted_as_open() -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("broken")

    broken_router = router(aws=broken)
    with pytest.raises(ValueError, match="broken"):
        await ask(broken_router, "POST", "/ListStages")
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
def test_a_logged_path_holds_no_ids(path: str, template: str) -> None:
    assert path_template(path) == template
