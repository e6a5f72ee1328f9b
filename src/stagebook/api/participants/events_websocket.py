"""The handshake and the lifetime of the events websocket, which shows a client the participants of its stage.

    GET {events}/{topic}            `topic` is the id of the stage
    GET {events}?topic={topic}      from the Web Broadcast SDK, see `dialects/events_address.py`

A browser cannot set header fields on a websocket handshake, so the tokens are offered as subprotocols (RFC 6455
section 1.9): the participant token as it is, which is also the subprotocol that the server selects, and a connection
token after the prefix `connection-token.`.

An open websocket is a connection of its participant. This module authenticates the handshake, registers the connection
with the stage manager, runs it, and reports its end once. Dead peers are detected by the ping frames of the websocket
protocol, which the HTTP server sends; the public sample clients answer those, but not PING messages.
"""

import re
from collections.abc import Callable

from stagebook.api.asgi import ObservedSend, Receive, Scope, Send
from stagebook.api.participants.client_info import client_info
from stagebook.api.participants.cross_origin import RESPONSE_HEADERS
from stagebook.api.participants.dialects.events_address import SDK_PATH, EventsAddress
from stagebook.api.participants.dialects.events_dialect import EventsDialect
from stagebook.api.participants.dialects.join_errors import join_error
from stagebook.api.participants.dialects.sdk_dialect import SdkDialect
from stagebook.api.participants.dialects.simple_dialect import SimpleDialect
from stagebook.api.participants.events_connection import EventsConnection
from stagebook.api.participants.http_requests import header
from stagebook.api.participants.participant_joins import JoinRequest, ParticipantJoins
from stagebook.api.participants.problem_responses import NO_TOKEN, Problem, RequestRefusalCode, RequestRefusedError
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.participants.token_admission import TokenAdmission
from stagebook.api.participants.websocket_transport import (
    PEER_LOST,
    ConnectionClose,
    WebsocketTransport,
    accept_and_close,
    close_message,
    transport_for,
)
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause

CONNECTION_TOKEN_PREFIX = "connection-token."  # noqa: S105 - a prefix, not a secret
"""Marks a subprotocol as a connection token. With the prefix it has four parts, so it is not mistaken for a JWT."""

CHANGES_SUBPROTOCOL = "stage-state-changes"
"""A client that offers it beside its token understands STAGE_STATE_CHANGE messages. It is never selected."""

_SIMPLE: EventsDialect = SimpleDialect()
_SDK: EventsDialect = SdkDialect()
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class EventsEndpoint:
    """Serves the events websockets of all participants of one stage manager."""

    def __init__(
        self,
        *,
        joins: ParticipantJoins,
        limits: RequestLimits,
        admission: TokenAdmission,
        monotonic: Callable[[], float],
    ) -> None:
        self._joins = joins
        self._limits = limits
        self._admission = admission
        self._monotonic = monotonic

    async def serve(self, scope: Scope, receive: Receive, send: ObservedSend, address: EventsAddress) -> None:
        """Serve one websocket from its handshake to its end. `websocket.connect` has been received already.

        Raises RequestRefusedError or a StagebookError before the handshake is accepted.
        """
        transport = transport_for(scope, limits=self._limits, monotonic=self._monotonic)
        request = JoinRequest(
            claims=self._admit(scope, address.topic),
            client=client_info(header(scope, b"user-agent")),
            dialect=_SDK if address.is_sdk else _SIMPLE,
            takes_changes=CHANGES_SUBPROTOCOL in scope["subprotocols"],
            publishers_only=address.publishers_only,
            is_sole=address.is_sdk,
        )
        join = await self._joins.join(request, wake=transport.wake, end=transport.end)
        # This value stays when the task is cancelled, which the HTTP server does when it stops.
        close = ConnectionClose(cause=Cause.SHUTDOWN)
        try:
            close = await _run(transport, join.connection, scope, receive, send)
        finally:
            await self._joins.leave(join, close.cause)

    async def refuse(self, scope: Scope, send: Send, problem: Problem) -> bool:
        """Accept a handshake to refuse it with a JOIN_ERROR message; return False if it must be refused plainly."""
        message, offered = join_error(problem, is_sdk=scope["path"] == SDK_PATH), scope["subprotocols"]
        if message is None or not offered:
            return False
        selected = next((each for each in offered if _JWT.fullmatch(each)), offered[0])
        transport = transport_for(scope, limits=self._limits, monotonic=self._monotonic)
        close = ConnectionClose(cause=None, close_code=1008, close_reason=problem.code, last_message=message)
        await accept_and_close(transport, send, close, subprotocol=selected)
        return True

    def _admit(self, scope: Scope, topic: str) -> Claims:
        token = _offered_token(scope["subprotocols"])
        connection_token = _offered_connection_token(scope["subprotocols"])
        claims = self._admission.admit(scope, token, connection_token=connection_token)
        _require_topic(claims, topic)
        return claims


async def _run(
    transport: WebsocketTransport, connection: EventsConnection, scope: Scope, receive: Receive, send: ObservedSend
) -> ConnectionClose:
    try:
        # A browser fails the handshake unless the server selects an offered subprotocol (WebSockets Standard).
        token = _offered_token(scope["subprotocols"])
        await send({"type": "websocket.accept", "subprotocol": token, "headers": []})
    except OSError:
        return PEER_LOST
    # The coroutines of an open websocket hold the scope, and the token and the header fields in it can have 64 KiB.
    del token
    scope.clear()
    close = await transport.run(connection, receive, send.unobserved)
    await transport.close(send.unobserved, close)
    return close


async def refuse_handshake(scope: Scope, send: Send, problem: Problem) -> None:
    """Refuse a handshake with an HTTP response, by the ASGI extension `websocket.http.response`.

    A server without the extension closes the websocket, which the client sees as a 403 without a body.
    """
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send(close_message(1008, problem.message))
        return
    headers = [*RESPONSE_HEADERS, *problem.headers, (b"content-type", b"application/json")]
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": problem.body()})


def _offered_token(subprotocols: list[str]) -> str:
    """Return the first offered subprotocol with the form of a JWT: the participant token."""
    token = next((offered for offered in subprotocols if _JWT.fullmatch(offered)), None)
    if token is None:
        raise RequestRefusedError(
            status=401,
            code=RequestRefusalCode.NO_TOKEN,
            message="offer the participant token as a subprotocol",
            headers=(NO_TOKEN,),
        )
    return token


def _offered_connection_token(subprotocols: list[str]) -> str | None:
    """Return the first offered connection token, without its prefix; None when none is offered."""
    offered = (each for each in subprotocols if each.startswith(CONNECTION_TOKEN_PREFIX))
    token = next(offered, None)
    return None if token is None else token.removeprefix(CONNECTION_TOKEN_PREFIX)


def _require_topic(claims: Claims, topic: str) -> None:
    """Raise TokenRefusedError unless the topic is the stage of the token."""
    if claims.stage_arn.rpartition("/")[2] != topic:
        raise TokenRefusedError(refusal=TokenRefusal.STAGE_MISMATCH, detail="the token is for another stage")
