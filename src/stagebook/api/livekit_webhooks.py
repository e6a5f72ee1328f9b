"""POST /livekit/webhook: the receiver of LiveKit's webhooks.

Any client can send requests. A request is accepted only with a token that LiveKit has signed with the API secret, and
that covers the body (`media.livekit.webhook_event`). LiveKit repeats an event until it gets a response, and several
nodes may send at the same time, so events can be duplicated and out of order: each id counts once.

With LiveKit as the media engine, the response is sent before the event is handled: until then LiveKit holds back the
other events of the room. In a history, the event is durable before the response: LiveKit repeats what a crash loses.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from livekit.protocol.webhook import WebhookEvent

from stagebook.api.access.failed_attempts import FailedAttempts
from stagebook.api.asgi import Receive, Scope, Send, read_headers
from stagebook.api.http_body import BodyReader, BodyTimeoutError, BodyTooLargeError, ClientDisconnectedError
from stagebook.api.http_responses import HttpResponse, send_response
from stagebook.media.livekit.livekit_access import LiveKitKey
from stagebook.media.livekit.webhook_event import MAX_WEBHOOK_SIZE_BYTES, WebhookRefusedError, read_webhook
from stagebook.stage.errors import ServerBusyError

BODY_TIMEOUT_SECONDS: Final = 5.0
HELD_LIMIT_BYTES: Final = 4 << 20
"""Bytes of incomplete bodies, of all senders."""
REMEMBERED_EVENTS: Final = 20_000
"""The newest event ids. LiveKit repeats an event for about 30 s, and a room has about six of each participant."""

_log = structlog.get_logger(__name__)


class LiveKitWebhooks:
    """The ASGI application of the path."""

    def __init__(
        self,
        key: LiveKitKey,
        *,
        on_event: Callable[[WebhookEvent], None],
        monotonic: Callable[[], float],
        remembered_events: int = REMEMBERED_EVENTS,
    ) -> None:
        """`on_event` is called once for each event, on the event loop. `monotonic` returns seconds of a clock that
        never goes back."""
        self.accepted = 0
        """Events, each counted once."""
        self.repeated = 0
        self.refused = 0
        """Requests that LiveKit has not signed, or that have no event."""
        self._key = key
        self._on_event = on_event
        self._failures = FailedAttempts(monotonic=monotonic)
        self._bodies = BodyReader(timeout_seconds=BODY_TIMEOUT_SECONDS, held_limit_bytes=HELD_LIMIT_BYTES)
        self._remembered = remembered_events
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with 200 to an event of LiveKit, and with an error to other requests."""
        try:
            response = await self._respond(scope, receive)
        except ClientDisconnectedError:
            return
        await send_response(send, response)

    async def _respond(self, scope: Scope, receive: Receive) -> HttpResponse:
        if scope["method"] != "POST":
            return HttpResponse(status=405, headers=((b"allow", b"POST"),), body=b"use POST")
        try:
            body = await self._bodies.read(receive, max_size_bytes=MAX_WEBHOOK_SIZE_BYTES)
        except BodyTooLargeError:
            return HttpResponse(status=413, headers=((b"connection", b"close"),), body=b"the body is too large")
        except BodyTimeoutError:
            return HttpResponse(status=408, headers=((b"connection", b"close"),), body=b"the body did not arrive")
        except ServerBusyError:
            return HttpResponse(status=503, body=b"too many incomplete requests")
        authorization = read_headers(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        try:
            event = read_webhook(body, authorization, key=self._key)
        except WebhookRefusedError as error:
            return self._refused(scope, str(error))
        return await self._take(event)

    def _refused(self, scope: Scope, detail: str) -> HttpResponse:
        self.refused += 1
        client = scope.get("client")
        address = client[0] if client else ""
        if not self._failures.admit(address):
            return HttpResponse(status=429, headers=((b"retry-after", b"1"),), body=b"too many refused webhooks")
        _log.warning("a webhook of LiveKit was refused", address=address, detail=detail)
        return HttpResponse(status=401, body=detail.encode())

    async def _take(self, event: WebhookEvent) -> HttpResponse:
        """Schedule the handling of an event, unless its id is a duplicate. An event without an id is always handled."""
        if event.id in self._seen:
            self.repeated += 1
            return HttpResponse(status=200)
        if event.id:
            self._seen[event.id] = None
            if len(self._seen) > self._remembered:
                self._seen.popitem(last=False)
        self.accepted += 1
        asyncio.get_running_loop().call_soon(self._on_event, event)
        return HttpResponse(status=200)


class DurableWebhooks(LiveKitWebhooks):
    """The path for a history: the response is sent when the event is recorded.

    Ids are not stored. An event that was recorded without a response is repeated, and the history ignores duplicates.
    """

    def __init__(
        self,
        key: LiveKitKey,
        *,
        record: Callable[[WebhookEvent], Awaitable[None]],
        monotonic: Callable[[], float],
    ) -> None:
        """`record` returns when an event is durable. It raises ServerBusyError if LiveKit must repeat the event."""
        super().__init__(key, on_event=lambda _event: None, monotonic=monotonic)
        self._record = record

    async def _take(self, event: WebhookEvent) -> HttpResponse:
        try:
            await self._record(event)
        except ServerBusyError as error:
            return HttpResponse(status=503, headers=((b"retry-after", b"1"),), body=str(error).encode())
        self.accepted += 1
        return HttpResponse(status=200)
