"""The participants' door: a raw ASGI application for WHIP, subscribing and the events websocket.

Owns the paths and the one place where an error becomes an answer. Must not know SDP, the book or how events are made.
"""

import re
import time
from collections.abc import Awaitable, Callable

import structlog

from stagebook.api.participants import cross_origin, events_websocket
from stagebook.api.participants.events_websocket import EventsWebsocket
from stagebook.api.participants.http_exchange import Message, Receive, Response, Scope, Send, write
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.problem_responses import INTERNAL, Header, Problem, RequestRefusedError, problem_of
from stagebook.api.participants.request_limits import AttemptMeters, RequestLimits
from stagebook.api.participants.whip import ACCEPT_PATCH, ACCEPT_POST, Whip
from stagebook.stage.errors import StagebookError

_log = structlog.get_logger(__name__)

_EVENTS = re.compile(r"/events/([A-Za-z0-9-]{1,64})", re.ASCII)
_SUBSCRIBE = re.compile(r"/whip/subscribe/([A-Za-z0-9_-]{1,64})", re.ASCII)
_RESOURCE = re.compile(r"/whip/resource/([A-Za-z0-9_-]{1,64})", re.ASCII)

Answer = Callable[[], Awaitable[Response]]


class ParticipantsApi:
    """The ASGI application. Give it the `http` and `websocket` scopes that `serves` claims."""

    def __init__(
        self,
        manager: ParticipantManager,
        *,
        whip_redirect: bool = False,
        limits: RequestLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve this manager's participants.

        With `whip_redirect`, `POST /` is answered by a 307 to the stage's own WHIP address, as the global WHIP host
        of AWS does (user guide, "OBS and WHIP Support"); without it, `POST /` publishes directly.
        """
        limits = limits or RequestLimits()
        self._manager = manager
        self._whip_redirect = whip_redirect
        attempts = AttemptMeters(limits=limits, monotonic=monotonic)
        self._whip = Whip(manager, limits=limits, attempts=attempts)
        self._events = EventsWebsocket(manager, limits=limits, attempts=attempts, monotonic=monotonic)

    @staticmethod
    def serves(scope: Scope) -> bool:
        """Return whether this request is for this door."""
        path: str = scope["path"]
        if scope["type"] == "websocket":
            return True
        if path == "/":
            return scope["method"] in {"POST", "OPTIONS"}
        return path == "/whip" or path.startswith(("/whip/", "/events/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or one websocket."""
        if scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        else:
            response = await self._respond(scope, receive)
            await write(
                send,
                Response(status=response.status, headers=cross_origin.SHARED + response.headers, body=response.body),
            )

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        accepted = False

        async def noting_send(message: Message) -> None:
            nonlocal accepted
            accepted = accepted or message["type"] == "websocket.accept"
            await send(message)

        try:
            match = _EVENTS.fullmatch(scope["path"])
            if match is None:
                raise _not_found()
            await self._events.serve(scope, receive, noting_send, match[1])
        except Exception as error:
            if accepted:
                raise
            await events_websocket.refuse(scope, send, _problem_of(error, scope))

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._route(scope, receive)
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes a response
            problem = _problem_of(error, scope)
            headers = ((b"content-type", b"application/json"), *problem.headers)
            return Response(status=problem.status, headers=headers, body=problem.body())

    async def _route(self, scope: Scope, receive: Receive) -> Response:
        path: str = scope["path"].rstrip("/")
        if path in {"", "/whip"}:
            if path == "" and self._whip_redirect and scope["method"] == "POST":
                return Response(status=307, headers=((b"location", self._manager.endpoints.whip.encode("ascii")),))
            return await _serve(scope, {"POST": lambda: self._whip.publish(scope, receive)}, ACCEPT_POST)
        if match := _SUBSCRIBE.fullmatch(path):
            publisher_id = match[1]
            return await _serve(
                scope, {"POST": lambda: self._whip.subscribe(scope, receive, publisher_id)}, ACCEPT_POST
            )
        if match := _RESOURCE.fullmatch(path):
            connection_id = match[1]
            methods: dict[str, Answer] = {
                "PATCH": lambda: self._whip.patch(scope, receive, connection_id),
                "DELETE": lambda: self._whip.delete(scope, connection_id),
            }
            return await _serve(scope, methods, ACCEPT_PATCH)
        if _EVENTS.fullmatch(path):
            headers = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))
            raise RequestRefusedError(status=426, code="UPGRADE", message="this is a websocket", headers=headers)
        raise _not_found()


async def _serve(scope: Scope, methods: dict[str, Answer], accept: Header) -> Response:
    """Answer a request for a resource that takes these methods: also OPTIONS, and 405 for any other (RFC 9725 4.1)."""
    allowed = ", ".join([*methods, "OPTIONS"])
    allow: Header = (b"allow", allowed.encode("ascii"))
    if scope["method"] == "OPTIONS":
        return Response(status=204, headers=(allow, accept, *cross_origin.preflight(allowed)))
    answer = methods.get(scope["method"])
    if answer is None:
        raise RequestRefusedError(
            status=405, code="METHOD_NOT_ALLOWED", message=f"use one of {allowed}", headers=(allow,)
        )
    return await answer()


def _not_found() -> RequestRefusedError:
    return RequestRefusedError(status=404, code="NOT_FOUND", message="no such path")


def _problem_of(error: Exception, scope: Scope) -> Problem:
    """Return how to answer an error; what is nobody's fault outside is logged, without headers or body."""
    if isinstance(error, StagebookError | RequestRefusedError):
        return problem_of(error)
    _log.error("join_request_failed", path=scope["path"], exc_info=error)
    return INTERNAL
