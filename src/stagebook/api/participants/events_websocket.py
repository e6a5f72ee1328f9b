"""The events websocket: a participant's standing connection, which shows who is on the stage.

    GET {events}/{topic}    topic: the stage's id; the participant token is offered as the websocket subprotocol,
                            a connection token as another one, after `connection-token.`

It counts as a connection of the participant. This module lets it in, hands the socket to an EventsConnection and
reports its end exactly once. Silent peers are found by the websocket protocol's own pings (the HTTP server's), since
sample clients answer those and not PING messages.
"""

import re
from collections import Counter
from collections.abc import Callable

from stagebook.api.participants import stage_state_messages, token_exchange_messages
from stagebook.api.participants.client_info import client_info
from stagebook.api.participants.cross_origin import SHARED
from stagebook.api.participants.events_connection import GONE, Ending, EventsConnection, close_message
from stagebook.api.participants.http_exchange import Receive, Scope, Send, header
from stagebook.api.participants.participant_manager import ParticipantManager
from stagebook.api.participants.problem_responses import NO_TOKEN, Problem, RequestRefusedError
from stagebook.api.participants.request_limits import AttemptMeters, Meter, RequestLimits, too_many
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause

CONNECTION_TOKEN_PREFIX = "connection-token."  # noqa: S105 - what comes before a secret, not one
"""Marks the subprotocol that is a connection token; with it, it has not the form of a JWT."""

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class EventsWebsocket:
    """Serves the events websockets of one manager's participants."""

    def __init__(
        self,
        manager: ParticipantManager,
        *,
        limits: RequestLimits,
        attempts: AttemptMeters,
        monotonic: Callable[[], float],
    ) -> None:
        self._manager = manager
        self._limits = limits
        self._attempts = attempts
        self._monotonic = monotonic
        self._open: Counter[tuple[str, str]] = Counter()
        self._encoder = stage_state_messages.StageStateEncoder()

    async def serve(self, scope: Scope, receive: Receive, send: Send, topic: str) -> None:
        """Serve one websocket whose `websocket.connect` has been received, from its handshake to its end.

        Raises RequestRefusedError or a StagebookError while the handshake can still be refused.
        """
        token = _offered_token(scope["subprotocols"])
        claims = self._manager.admit(token, connection_token=_offered_connection_token(scope["subprotocols"]))
        _require_topic(claims, topic)
        self._attempts.require(claims)
        key = (claims.stage_arn, claims.participant_id)
        if self._open[key] >= self._limits.events_connections_per_participant:
            raise too_many("too many events websockets with this token")
        self._open[key] += 1
        try:
            await self._serve_claims(claims, token, scope, receive, send)
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    async def _serve_claims(self, claims: Claims, token: str, scope: Scope, receive: Receive, send: Send) -> None:
        meter = Meter(
            burst=self._limits.events_messages_burst,
            per_second=self._limits.events_messages_per_second,
            monotonic=self._monotonic,
        )
        connection = EventsConnection(encoder=self._encoder, limits=self._limits, meter=meter)
        client = client_info(header(scope, b"user-agent"))
        connection_id = await self._manager.open_events(claims, watcher=connection, client=client)
        connection.answer_exchange = lambda text: self._exchange(claims, connection_id, text)
        ending = Ending(cause=Cause.SHUTDOWN)  # what holds if this task is cancelled
        try:
            ending = await self._converse(connection, token, receive, send)
        finally:
            await self._manager.close_events(connection_id=connection_id, cause=ending.cause)

    async def _exchange(self, claims: Claims, connection_id: str, text: str) -> str:
        """Answer an EXCHANGE_TOKEN message. It counts as an attempt: each one that succeeds is an event for ever."""

        async def exchange() -> Claims:
            self._attempts.require(claims)
            token = token_exchange_messages.offered_token(text)
            return await self._manager.exchange_token(connection_id=connection_id, token=token)

        return await token_exchange_messages.answer(exchange())

    async def _converse(self, connection: EventsConnection, token: str, receive: Receive, send: Send) -> Ending:
        try:
            await send({"type": "websocket.accept", "subprotocol": token, "headers": []})
        except OSError:
            return GONE
        ending = await connection.run(receive, send)
        await connection.close(send, ending)
        return ending


async def refuse(scope: Scope, send: Send, problem: Problem) -> None:
    """Refuse a handshake with an HTTP answer (ASGI extension `websocket.http.response`), or as well as can be."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send(close_message(1008, problem.message))
        return
    headers = [*SHARED, *problem.headers, (b"content-type", b"application/json")]
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": problem.body()})


def _offered_token(subprotocols: list[str]) -> str:
    """Return the first offered subprotocol that has the form of a JWT: the one that will be selected."""
    token = next((offered for offered in subprotocols if _JWT.fullmatch(offered)), None)
    if token is None:
        raise RequestRefusedError(
            status=401, code="NO_TOKEN", message="offer the participant token as a subprotocol", headers=(NO_TOKEN,)
        )
    return token


def _offered_connection_token(subprotocols: list[str]) -> str | None:
    """Return the connection token that is offered beside the participant token, if any."""
    offered = (each for each in subprotocols if each.startswith(CONNECTION_TOKEN_PREFIX))
    token = next(offered, None)
    return None if token is None else token.removeprefix(CONNECTION_TOKEN_PREFIX)


def _require_topic(claims: Claims, topic: str) -> None:
    if claims.stage_arn.rpartition("/")[2] != topic:
        raise TokenRefusedError(refusal=TokenRefusal.STAGE_MISMATCH, detail="the token is for another stage")
