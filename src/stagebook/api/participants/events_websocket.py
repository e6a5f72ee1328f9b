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
from collections import Counter
from collections.abc import Callable
from functools import partial

from stagebook.api.asgi import TEXT_PARTS_EXTENSION, ObservedSend, Receive, Scope, Send
from stagebook.api.participants import stage_state_messages
from stagebook.api.participants.client_info import client_info
from stagebook.api.participants.cross_origin import RESPONSE_HEADERS
from stagebook.api.participants.dialects import token_exchange_messages
from stagebook.api.participants.dialects.events_address import EventsAddress
from stagebook.api.participants.dialects.events_dialect import EventsDialect
from stagebook.api.participants.dialects.sdk_dialect import SdkDialect
from stagebook.api.participants.dialects.simple_dialect import SimpleDialect
from stagebook.api.participants.events_connection import EventsConnection
from stagebook.api.participants.http_requests import header
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.problem_responses import NO_TOKEN, Problem, RequestRefusalCode, RequestRefusedError
from stagebook.api.participants.request_limits import (
    AttemptRateLimiter,
    RequestLimits,
    TokenBucket,
    too_many_requests,
)
from stagebook.api.participants.token_admission import TokenAdmission
from stagebook.api.participants.websocket_transport import (
    PEER_LOST,
    ConnectionClose,
    WebsocketTransport,
    close_message,
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
        manager: ParticipantManager,
        *,
        limits: RequestLimits,
        attempts: AttemptRateLimiter,
        admission: TokenAdmission,
        monotonic: Callable[[], float],
    ) -> None:
        self._manager = manager
        self._limits = limits
        self._attempts = attempts
        self._admission = admission
        self._monotonic = monotonic
        self._open_by_participant: Counter[tuple[str, str]] = Counter()
        self._encoders = stage_state_messages.StageStateEncoders()

    async def serve(self, scope: Scope, receive: Receive, send: ObservedSend, address: EventsAddress) -> None:
        """Serve one websocket from its handshake to its end. `websocket.connect` has been received already.

        Raises RequestRefusedError or a StagebookError before the handshake is accepted.
        """
        claims = self._admit(scope, address.topic)
        self._attempts.require(claims)
        participant = (claims.stage_arn, claims.participant_id)
        if self._open_by_participant[participant] >= self._limits.events_connections_per_participant:
            raise too_many_requests("too many events websockets with this token")
        # Counted before the first await, so that concurrent handshakes are limited as well.
        self._open_by_participant[participant] += 1
        try:
            await self._serve_participant(claims, address, scope, receive, send)
        finally:
            self._open_by_participant[participant] -= 1
            if not self._open_by_participant[participant]:
                del self._open_by_participant[participant]

    def _admit(self, scope: Scope, topic: str) -> Claims:
        token = _offered_token(scope["subprotocols"])
        connection_token = _offered_connection_token(scope["subprotocols"])
        claims = self._admission.admit(scope, token, connection_token=connection_token)
        _require_topic(claims, topic)
        return claims

    async def _serve_participant(
        self, claims: Claims, address: EventsAddress, scope: Scope, receive: Receive, send: ObservedSend
    ) -> None:
        transport = self._transport(scope)
        connection = EventsConnection(
            dialect=_SDK if address.is_sdk else _SIMPLE,
            encoder=self._encoders.of_list(address.topic, publishers_only=address.publishers_only),
            wake=transport.wake,
            end=transport.end,
            takes_changes=CHANGES_SUBPROTOCOL in scope["subprotocols"],
            publishers_only=address.publishers_only,
        )
        client = client_info(header(scope, b"user-agent"))
        connection_id = await self._manager.open_events(claims, watcher=connection, client=client)
        connection.answer_exchange = partial(self._exchange, claims, connection_id)
        connection.ask_for_state = partial(self._manager.show_again, connection_id=connection_id)
        # This value stays when the task is cancelled, which the HTTP server does when it stops.
        close = ConnectionClose(cause=Cause.SHUTDOWN)
        try:
            close = await _run(transport, connection, scope, receive, send)
        finally:
            if close.cause is not None:
                await self._manager.close_events(connection_id=connection_id, cause=close.cause)

    def _transport(self, scope: Scope) -> WebsocketTransport:
        message_rate = TokenBucket(
            burst=self._limits.events_messages_burst,
            per_second=self._limits.events_messages_per_second,
            monotonic=self._monotonic,
        )
        has_parts = TEXT_PARTS_EXTENSION in (scope.get("extensions") or {})
        return WebsocketTransport(limits=self._limits, message_rate=message_rate, has_parts=has_parts)

    async def _exchange(self, claims: Claims, connection_id: str, text: str) -> str:
        """Answer an EXCHANGE_TOKEN message. It counts as an attempt, because a successful exchange writes an event."""

        async def exchange() -> Claims:
            self._attempts.require(claims)
            token = token_exchange_messages.parse_exchange_request(text)
            return await self._manager.exchange_token(connection_id=connection_id, token=token)

        return await token_exchange_messages.exchange_answer(exchange())


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
