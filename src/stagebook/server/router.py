"""One HTTP port for all doors: which door a request is for, and the gate that closes when the server stops.

Owns the paths' division and the count of requests on their way. Must not know what a door does, nor any setting.
"""

import asyncio
import re
import time
from collections.abc import Callable

import structlog

from stagebook.api.asgi import Application, ObservedSend, Receive, Scope, Send
from stagebook.api.http_responses import HttpResponse, send_response

_log = structlog.get_logger(__name__)

HEALTH_PATH = "/health"
WELCOME = (
    b"Stagebook: open, self-hosted Amazon IVS Real-Time.\n"
    b"Point an AWS client at this address: AWS_ENDPOINT_URL_IVS_REALTIME (`stagebook env` prints all it needs).\n"
)

_TEMPLATES = (
    (re.compile(r"/tags/.*", re.DOTALL), "/tags/{resourceArn}"),
    (re.compile(r"/whip/subscribe/.*", re.DOTALL), "/whip/subscribe/{participantId}"),
    (re.compile(r"/whip/resource/.*", re.DOTALL), "/whip/resource/{connectionId}"),
    (re.compile(r"/events/.*", re.DOTALL), "/events/{topic}"),
    (re.compile(r"/[A-Za-z]*"), None),
)


class Router:
    """The ASGI application that holds the others. `joins` says which requests are the participants'; what is nobody
    else's goes to the AWS door, which answers unknown operations as AWS does."""

    def __init__(
        self,
        *,
        aws: Application,
        join: Application,
        joins: Callable[[Scope], bool],
        health: Application,
        log_requests: bool = False,
    ) -> None:
        self._aws = aws
        self._join = join
        self._joins = joins
        self._health = health
        self._log_requests = log_requests
        self._closed = False
        self._requests = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or one websocket."""
        if scope["type"] == "websocket":
            await (_refuse_websocket if self._closed else self._join)(scope, receive, send)
            return
        self._requests += 1
        self._quiet.clear()
        try:
            serve = self._choose(scope)
            if self._log_requests:
                await _logged(serve, scope, receive, send)
            else:
                await serve(scope, receive, send)
        finally:
            self._requests -= 1
            if self._requests == 0:
                self._quiet.set()

    async def close(self, *, timeout_seconds: float) -> None:
        """Answer 503 to every new request and wait for those on their way, at most `timeout_seconds`.

        Websockets stay: the stage manager says farewell to them.
        """
        self._closed = True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._quiet.wait()
        except TimeoutError:
            _log.warning("requests still open at the end", requests=self._requests)

    def _choose(self, scope: Scope) -> Application:
        path = scope["path"]
        if path == HEALTH_PATH:
            return self._health
        if self._closed:
            return _unavailable
        if path == "/" and scope["method"] in {"GET", "HEAD"}:
            return _welcome
        return self._join if self._joins(scope) else self._aws


async def _logged(serve: Application, scope: Scope, receive: Receive, send: Send) -> None:
    start_seconds = time.perf_counter()
    observed = ObservedSend(send)
    try:
        await serve(scope, receive, observed)
    finally:
        path = path_template(scope["path"])
        spent_ms = round((time.perf_counter() - start_seconds) * 1000, 2)
        _log.debug("request", method=scope["method"], path=path, status=observed.status, ms=spent_ms)


def path_template(path: str) -> str:
    """Return the path with ids replaced by their names: what may be logged, and counted."""
    for pattern, template in _TEMPLATES:
        if pattern.fullmatch(path):
            return template or path
    return "(other)"


async def _welcome(scope: Scope, _receive: Receive, send: Send) -> None:
    await _answer(send, 200, b"text/plain; charset=utf-8", WELCOME, head=scope["method"] == "HEAD")


async def _unavailable(_scope: Scope, _receive: Receive, send: Send) -> None:
    await _answer(send, 503, b"application/json", b'{"message":"the server is stopping"}')


async def _refuse_websocket(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    await send({"type": "websocket.close", "code": 1001, "reason": "the server is stopping"})


async def _answer(send: Send, status: int, content_type: bytes, body: bytes, *, head: bool = False) -> None:
    response = HttpResponse(status=status, headers=((b"content-type", content_type),), body=body)
    await send_response(send, response, is_head=head)
