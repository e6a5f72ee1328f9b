"""The ASGI application of participants: routing, and the translation of errors to responses.

POST   /whip (or /)                         publish
POST   /whip/publish/{participantId}        publish
POST   /whip/subscribe/{participantId}      subscribe to one publisher
PATCH  /whip/resource/{connectionId}        trickle ICE, ICE restart
DELETE /whip/resource/{connectionId}        end a connection
GET    /whip/resource/{connectionId}/layers the simulcast layers of a publisher
POST   /whip/resource/{connectionId}/layers choose one of them
GET    /events/{stageId}                    the events websocket
GET    /events?topic={stageId}/publishers   the events websocket for the Web Broadcast SDK
GET    /sanic                               a websocket that several stages share
"""

import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import structlog

from stagebook.api.asgi import Header, ObservedSend, Receive, Scope, Send
from stagebook.api.connection_cut import ConnectionCutError, cut_connection, send_or_cut
from stagebook.api.fault_table import FaultTable
from stagebook.api.http_responses import HttpResponse
from stagebook.api.participants import cross_origin
from stagebook.api.participants.dialects.events_address import events_address, is_events_path, takes_join_errors
from stagebook.api.participants.events_websocket import EventsEndpoint, refuse_handshake
from stagebook.api.participants.participant_joins import ParticipantJoins
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.problem_responses import (
    INTERNAL,
    Problem,
    RequestRefusalCode,
    RequestRefusedError,
    problem_of,
)
from stagebook.api.participants.realtime.shared_offers import OfferExchange
from stagebook.api.participants.realtime.shared_websocket import SHARED_PATH, SharedEndpoint
from stagebook.api.participants.request_limits import AttemptRateLimiter, RequestLimits
from stagebook.api.participants.token_admission import TokenAdmission
from stagebook.api.participants.web_sdk_problems import problem_for_client
from stagebook.api.participants.whip.faulty_requests import FaultyRequests, InjectedFailureError
from stagebook.api.participants.whip.ice_server_headers import IceServerHeaders
from stagebook.api.participants.whip.layer_endpoint import ACCEPT_CHOICE, LayerEndpoint
from stagebook.api.participants.whip.offer_turns import OfferTurns
from stagebook.api.participants.whip.whip_endpoint import ACCEPT_PATCH, ACCEPT_POST, WhipEndpoint
from stagebook.api.request_counts import OPERATION, PREFLIGHT, UNKNOWN_OPERATION, RequestCounts
from stagebook.error_traceback import drop_traceback
from stagebook.log_rate_limit import LogRateLimit
from stagebook.stage.errors import StagebookError

_log = structlog.get_logger(__name__)

_PUBLISH = re.compile(r"/whip/publish/([A-Za-z0-9_-]{1,64})", re.ASCII)
_SUBSCRIBE = re.compile(r"/whip/subscribe/([A-Za-z0-9_-]{1,64})", re.ASCII)
_LAYERS = re.compile(r"/whip/resource/([A-Za-z0-9_-]{1,64})/layers", re.ASCII)
_RESOURCE = re.compile(r"/whip/resource/([A-Za-z0-9_-]{1,64})", re.ASCII)

EVENTS_OPERATION = "EventsWebsocket"
SHARED_OPERATION = "SharedWebsocket"
_SWITCHING_PROTOCOLS = 101

_MethodHandlers: TypeAlias = dict[str, tuple[str, Callable[[], Awaitable[HttpResponse]]]]
"""The name of the operation and the handler of each method that a resource has."""


class ParticipantsApi:
    """The ASGI application. It must get only the `http` and `websocket` scopes for which `serves` is true."""

    def __init__(
        self,
        manager: ParticipantManager,
        *,
        whip_redirect: bool = False,
        limits: RequestLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        requests: RequestCounts | None = None,
        faults: FaultTable | None = None,
        ice_servers: IceServerHeaders | None = None,
    ) -> None:
        """Serve the participants of a stage manager.

        With `whip_redirect`, `POST /` is answered with a 307 to the WHIP endpoint, as the global WHIP endpoint of AWS
        does (IVS user guide, "OBS and WHIP Support"). Without it, `POST /` publishes directly. `monotonic` returns
        seconds of a clock that never goes back. `requests` counts the requests and websockets. `faults` are
        those that a test asks for. `ice_servers` are the STUN and TURN servers that participants are told about.
        """
        self._faults = None if faults is None else FaultyRequests(faults)
        self._requests = requests or RequestCounts("participants")
        self._monotonic = monotonic
        self._limits = limits or RequestLimits()
        self._log_limit = LogRateLimit(clock=monotonic)
        self._manager = manager
        self._whip_redirect = whip_redirect
        self._admission = TokenAdmission(manager, limits=self._limits, monotonic=monotonic)
        attempts = AttemptRateLimiter(limits=self._limits, monotonic=monotonic)
        turns = OfferTurns(limits=self._limits)
        ice_servers = ice_servers or IceServerHeaders(lifetime_seconds=0, wall_clock=time.time)
        self._open_http(attempts, turns, ice_servers)
        self._open_websockets(attempts, turns)

    def _open_http(self, attempts: AttemptRateLimiter, turns: OfferTurns, ice_servers: IceServerHeaders) -> None:
        limits, admission = self._limits, self._admission
        self._whip = WhipEndpoint(
            self._manager,
            limits=limits,
            attempts=attempts,
            admission=admission,
            turns=turns,
            ice_servers=ice_servers,
        )
        layer_rate = AttemptRateLimiter(
            limits=limits,
            monotonic=self._monotonic,
            burst=limits.layer_requests_burst,
            per_second=limits.layer_requests_per_second,
        )
        self._layers = LayerEndpoint(self._manager, limits=limits, rate=layer_rate, admission=admission)

    def _open_websockets(self, attempts: AttemptRateLimiter, turns: OfferTurns) -> None:
        limits, admission, monotonic = self._limits, self._admission, self._monotonic
        joins = ParticipantJoins(self._manager, limits=limits, attempts=attempts)
        self._events = EventsEndpoint(joins=joins, limits=limits, admission=admission, monotonic=monotonic)
        problem_of = partial(self._problem_of, scope={"path": SHARED_PATH})
        exchange = OfferExchange(self._manager, attempts=attempts, turns=turns, problem_of=problem_of)
        self._shared = SharedEndpoint(
            joins=joins,
            exchange=exchange,
            limits=limits,
            admission=admission,
            problem_of=problem_of,
            monotonic=monotonic,
        )

    @staticmethod
    def serves(scope: Scope) -> bool:
        """Return whether a request belongs to this API."""
        path: str = scope["path"]
        if scope["type"] == "websocket":
            return True
        if path == "/":
            return scope["method"] in {"POST", "OPTIONS"}
        return path in {"/whip", "/events", SHARED_PATH} or path.startswith(("/whip/", "/events/"))

    # Not a coroutine of its own: each open websocket would keep its frame.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one HTTP request or one websocket."""
        serve = self._serve_websocket if scope["type"] == "websocket" else self._serve_request
        return serve(scope, receive, send)

    async def _serve_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = self._monotonic()
        try:
            response = await self._respond(scope, receive)
        except ConnectionCutError:
            await cut_connection(scope, receive)
            return
        seconds = self._monotonic() - started_at
        self._requests.observe(scope.get(OPERATION, UNKNOWN_OPERATION), response.status, seconds)
        await send_or_cut(scope, receive, send, response, extra_headers=cross_origin.RESPONSE_HEADERS)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        operation = SHARED_OPERATION if scope["path"] == SHARED_PATH else EVENTS_OPERATION
        scope[OPERATION] = operation
        observed = ObservedSend(send, on_accepted=partial(self._requests.count, operation, _SWITCHING_PROTOCOLS))
        query: bytes = scope.get("query_string") or b""
        try:
            if scope["path"] == SHARED_PATH:
                await self._shared.serve(scope, receive, observed)
                return
            address = events_address(scope["path"], query)
            await self._events.serve(scope, receive, observed, address)
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes the end of a websocket
            if observed.is_accepted:
                # There is no HTTP response. The HTTP server closes the socket of an application that has ended.
                self._log_failure(error, scope)
                return
            problem = self._problem_of(error, scope)
            self._requests.count(operation, problem.status)
            takes_message = is_events_path(scope["path"]) and takes_join_errors(query)
            if not takes_message or not await self._events.refuse(scope, send, problem):
                await refuse_handshake(scope, send, problem)

    async def _respond(self, scope: Scope, receive: Receive) -> HttpResponse:
        try:
            return await self._route(scope, receive)
        except ConnectionCutError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where an exception becomes a response
            problem = problem_for_client(self._problem_of(error, scope), scope)
            headers = ((b"content-type", b"application/json"), *problem.headers)
            return HttpResponse(status=problem.status, headers=headers, body=problem.body())

    def _problem_of(self, error: Exception, scope: Scope) -> Problem:
        """Return the response to an error. One that the client did not cause is logged."""
        if isinstance(error, StagebookError | RequestRefusedError):
            drop_traceback(error)
            return problem_of(error)
        if not isinstance(error, InjectedFailureError):
            self._log_failure(error, scope)
        return INTERNAL

    def _log_failure(self, error: Exception, scope: Scope) -> None:
        """Log an exception, without header fields or body.

        A client that has found one can repeat it, so the lines about each type have a rate limit.
        """
        if (more := self._log_limit.admit(type(error).__name__)) is not None:
            _log.error("participants_request_failed", path=scope.get("path"), exc_info=error, **more)
        drop_traceback(error)

    async def _route(self, scope: Scope, receive: Receive) -> HttpResponse:
        path: str = scope["path"].rstrip("/")  # a configured WHIP URL may end with a slash
        if path in {"", "/whip"}:
            if path == "" and self._whip_redirect and scope["method"] == "POST":
                location = self._manager.endpoints.whip.encode("ascii")
                return HttpResponse(status=307, headers=((b"location", location),))
            publish = ("Publish", lambda: self._whip.publish(scope, receive))
            return await self._dispatch(scope, {"POST": publish}, ACCEPT_POST)
        if match := _PUBLISH.fullmatch(path):
            participant_id = match[1]
            publish = ("Publish", lambda: self._whip.publish(scope, receive, participant_id))
            return await self._dispatch(scope, {"POST": publish}, ACCEPT_POST)
        if match := _SUBSCRIBE.fullmatch(path):
            publisher_id = match[1]
            subscribe = ("Subscribe", lambda: self._whip.subscribe(scope, receive, publisher_id))
            return await self._dispatch(scope, {"POST": subscribe}, ACCEPT_POST)
        if match := _RESOURCE.fullmatch(path):
            connection_id = match[1]
            handlers: _MethodHandlers = {
                "PATCH": ("PatchConnection", lambda: self._whip.patch(scope, receive, connection_id)),
                "DELETE": ("EndConnection", lambda: self._whip.delete(scope, connection_id)),
            }
            return await self._dispatch(scope, handlers, ACCEPT_PATCH)
        if match := _LAYERS.fullmatch(path):
            viewer_id = match[1]
            handlers = {
                "GET": ("ListLayers", lambda: self._layers.list_layers(scope, viewer_id)),
                "POST": ("SelectLayer", lambda: self._layers.select_layer(scope, receive, viewer_id)),
            }
            return await self._dispatch(scope, handlers, ACCEPT_CHOICE)
        if is_events_path(scope["path"]) or path == SHARED_PATH:
            headers = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))
            raise RequestRefusedError(
                status=426, code=RequestRefusalCode.UPGRADE, message="this is a websocket", headers=headers
            )
        raise _not_found()

    async def _dispatch(self, scope: Scope, handlers: _MethodHandlers, accept: Header) -> HttpResponse:
        """Call the handler of the request's method. OPTIONS is answered here; any other is a 405 (RFC 9725 4.1)."""
        allowed = ", ".join([*handlers, "OPTIONS"])
        allow: Header = (b"allow", allowed.encode("ascii"))
        if scope["method"] == "OPTIONS":
            scope[OPERATION] = PREFLIGHT
            servers = self._whip.options(scope) if accept is ACCEPT_POST else ()
            headers = (allow, accept, *cross_origin.preflight_headers(allowed), *servers)
            return HttpResponse(status=204, headers=headers)
        found = handlers.get(scope["method"])
        if found is None:
            raise RequestRefusedError(
                status=405,
                code=RequestRefusalCode.METHOD_NOT_ALLOWED,
                message=f"use one of {allowed}",
                headers=(allow,),
            )
        scope[OPERATION], handle = found
        return await (handle() if self._faults is None else self._faults.perform(scope, handle))


def _not_found() -> RequestRefusedError:
    return RequestRefusedError(status=404, code=RequestRefusalCode.NOT_FOUND, message="no such path")
