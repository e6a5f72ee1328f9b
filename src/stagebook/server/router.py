"""The router: the ASGI application that passes each request to the API it is for.

    GET /health                  the health API
    GET /metrics                 the metrics
    GET /                        a description of the server, as plain text
    /watch/v1/...                the watch API
    /testing/v1/...              the testing API, only with `--testing`
    /console/...                 the files of the console, a web page
    /livekit/webhook             the receiver of LiveKit's webhooks, only with LiveKit as the media engine or watched
    paths of the participants    the participants API (WHIP, the events websocket)
    every other path             the AWS API, which answers unknown operations as AWS does

At most a few requests begin in one turn of the event loop (`api/request_starts.py`).

When the server stops, the router refuses new requests and waits for the requests in progress.
"""

import asyncio
import re
import time
from collections.abc import Callable

import structlog

from stagebook.api.asgi import Application, ObservedSend, Receive, Scope, Send
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.api.request_starts import RequestStarts
from stagebook.api.routes.route_api import RouteApi
from stagebook.api.watch.console.console_files import ConsoleFiles
from stagebook.api.watch.live_tail.event_stream import EVENT_STREAM_PATH
from stagebook.api.watch.metrics.metrics_access import METRICS_PATH

_log = structlog.get_logger(__name__)

HEALTH_PATH = "/health"
LIVEKIT_WEBHOOK_PATH = "/livekit/webhook"
WELCOME = (
    b"Stagebook: open, self-hosted Amazon IVS Real-Time.\n"
    b"AWS clients use this address as AWS_ENDPOINT_URL_IVS_REALTIME (`stagebook env` prints all variables).\n"
    b"People open /console/ in a browser.\n"
)

_TEMPLATES = (
    (re.compile(r"/tags/.*", re.DOTALL), "/tags/{resourceArn}"),
    (re.compile(r"/whip/subscribe/.*", re.DOTALL), "/whip/subscribe/{participantId}"),
    (re.compile(r"/whip/resource/.*", re.DOTALL), "/whip/resource/{connectionId}"),
    (re.compile(r"/events/.*", re.DOTALL), "/events/{topic}"),
    (re.compile(LIVEKIT_WEBHOOK_PATH), None),
    (re.compile(r"/[A-Za-z]*"), None),
)


class AsgiRouter:
    """The ASGI application that contains the others.

    `is_for_participants` returns whether an HTTP request is for the participants API; all websockets are. `testing` is
    the testing API of a server with `--testing`. With `log_requests`, every HTTP request is logged at level debug.
    """

    def __init__(
        self,
        *,
        aws: Application,
        participants: Application,
        is_for_participants: Callable[[Scope], bool],
        health: Application,
        watch: RouteApi,
        console: Application,
        metrics: Application,
        testing: RouteApi | None = None,
        livekit_webhooks: Application | None = None,
        log_requests: bool = False,
    ) -> None:
        self._aws = aws
        self._participants = participants
        self._is_for_participants = is_for_participants
        self._health = health
        self._watch = watch
        self._console = console
        self._metrics = metrics
        self._testing = testing
        self._livekit_webhooks = livekit_webhooks
        self._log_requests = log_requests
        self._closed = False
        self._starts = RequestStarts()
        self._requests = _InProgress()
        self._websockets = _InProgress()
        self._event_streams = _InProgress()

    @property
    def websockets(self) -> int:
        """How many websockets are open or opening."""
        return self._websockets.count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request or a websocket."""
        if not self._starts.begins_now():
            await self._starts.wait((scope.get("client") or ("",))[0])
        if scope["type"] == "websocket":
            with self._websockets:
                await (_refuse_websocket if self._closed else self._participants)(scope, receive, send)
            return
        with self._event_streams if scope["path"] == EVENT_STREAM_PATH else self._requests:
            serve = self._select(scope)
            if self._log_requests:
                await self._serve_logged(serve, scope, receive, send)
            else:
                await serve(scope, receive, send)

    async def close(self, *, timeout_seconds: float) -> None:
        """Refuse new requests with 503 and wait until those in progress have ended, at most `timeout_seconds`.

        Health and metrics are still served. Open websockets and event streams are not waited for.
        """
        self._closed = True
        if not await self._requests.ended(timeout_seconds):
            _log.warning("requests still in progress at the end of the timeout", requests=self._requests.count)

    async def wait_for_lasting(self, *, timeout_seconds: float) -> None:
        """Wait until all websockets and event streams have ended, at most `timeout_seconds`.

        They have been ended already. Each still has to send its last message, which tells the client why.
        """
        waits = (each.ended(timeout_seconds) for each in (self._websockets, self._event_streams))
        if not all(await asyncio.gather(*waits)):
            count = self._websockets.count + self._event_streams.count
            _log.warning("connections still open at the end of the timeout", connections=count)

    def _select(self, scope: Scope) -> Application:
        path = scope["path"]
        if path == HEALTH_PATH:
            return self._health
        if path == METRICS_PATH:
            return self._metrics
        if self._closed:
            return _unavailable
        if path == "/" and scope["method"] in {"GET", "HEAD"}:
            return _welcome
        if self._watch.serves(scope):
            return self._watch
        if self._testing is not None and self._testing.serves(scope):
            return self._testing
        if ConsoleFiles.serves(scope):
            return self._console
        if self._livekit_webhooks is not None and path == LIVEKIT_WEBHOOK_PATH:
            return self._livekit_webhooks
        return self._participants if self._is_for_participants(scope) else self._aws

    def path_template(self, scope: Scope) -> str:
        """Return the path of a request with its ids replaced by placeholders, for the log and for traces."""
        return self._watch.path_template(scope) if self._watch.serves(scope) else path_template(scope["path"])

    async def _serve_logged(self, serve: Application, scope: Scope, receive: Receive, send: Send) -> None:
        start_seconds = time.perf_counter()
        observed = ObservedSend(send)
        try:
            await serve(scope, receive, observed)
        finally:
            path = self.path_template(scope)
            spent_ms = round((time.perf_counter() - start_seconds) * 1000, 2)
            _log.debug("request", method=scope["method"], path=path, status=observed.status, ms=spent_ms)


class _InProgress:
    """Counts what is in progress. A context manager: entering counts one up, leaving counts it down."""

    def __init__(self) -> None:
        self.count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> None:
        self.count += 1
        self._idle.clear()

    def __exit__(self, *_exception: object) -> None:
        self.count -= 1
        if self.count == 0:
            self._idle.set()

    async def ended(self, timeout_seconds: float) -> bool:
        """Wait until nothing is in progress; return whether that was so within the timeout."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True


def path_template(path: str) -> str:
    """Return a path of the AWS API or the participants API with its ids replaced by placeholders, for the log.

    A path that is not known is replaced as a whole, since it may contain a token.
    """
    for pattern, template in _TEMPLATES:
        if pattern.fullmatch(path):
            return template or path
    return "(other)"


async def _welcome(scope: Scope, _receive: Receive, send: Send) -> None:
    await _respond(send, 200, b"text/plain; charset=utf-8", WELCOME, head=scope["method"] == "HEAD")


async def _unavailable(_scope: Scope, _receive: Receive, send: Send) -> None:
    await _respond(send, 503, b"application/json", b'{"message":"the server is stopping"}')


async def _refuse_websocket(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    await send({"type": "websocket.close", "code": 1001, "reason": "the server is stopping"})


async def _respond(send: Send, status: int, content_type: bytes, body: bytes, *, head: bool = False) -> None:
    response = HttpResponse(status=status, headers=((b"content-type", content_type),), body=body)
    await send_response(send, response, is_head=head)
