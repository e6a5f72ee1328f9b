"""The events websocket: a participant's standing connection, which shows who is on the stage.

    GET {events}/{topic}    topic: the stage's id; the participant token is offered as the websocket subprotocol,
                            a connection token as another one, after `connection-token.`

It counts as a connection of the participant. The manager pushes snapshots and the farewell into an EventsConnection;
this module writes them to the socket, hears the client (PING, EXCHANGE_TOKEN), and reports the end exactly once.
Silent peers are found by the websocket protocol's own pings (the HTTP server's), since sample clients answer those and
not PING messages.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from stagebook.doors.join import stage_state, token_exchange
from stagebook.doors.join.client_info import client_info
from stagebook.doors.join.cors import SHARED
from stagebook.doors.join.errors import NO_TOKEN, Problem, RequestRefusedError
from stagebook.doors.join.exchange import Message, Receive, Scope, Send, header
from stagebook.doors.join.limits import AttemptMeters, JoinLimits, Meter, too_many
from stagebook.doors.join.port import JoinPort
from stagebook.manager.watchers import FarewellReason, StageSnapshot
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause

CLOSE_REASON_SIZE_BYTES = 123
"""What a close frame has room for (RFC 6455 section 5.5)."""

CONNECTION_TOKEN_PREFIX = "connection-token."  # noqa: S105 - what comes before a secret, not one
"""Marks the subprotocol that is a connection token; with it, it has not the form of a JWT."""

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a connection ends: what the book says, and the close frame to send; None when the client is gone."""

    cause: Cause
    close_code: int | None = None
    close_reason: str = ""


GONE = Ending(cause=Cause.PEER_LOST)
LEFT = Ending(cause=Cause.CLIENT)
FAREWELLS: dict[FarewellReason, tuple[Cause, int]] = {
    FarewellReason.DISCONNECTED: (Cause.DISCONNECTED_BY_API, 4001),
    FarewellReason.STAGE_DELETED: (Cause.STAGE_DELETED, 4002),
    FarewellReason.CONNECTION_TOKEN_REVOKED: (Cause.CONNECTION_TOKEN_REVOKED, 4003),
    FarewellReason.SHUTDOWN: (Cause.SHUTDOWN, 1001),
}
"""Close codes of the server's own: 4000 to 4999 are for applications, 1001 is going away (RFC 6455 section 7.4)."""


class EventsConnection:
    """The watcher that one websocket is. `show` and `farewell` only note what to write and wake the writer.

    `answer_exchange` takes an EXCHANGE_TOKEN message and gives its answer; it is set before the connection runs.
    """

    answer_exchange: Callable[[str], Awaitable[str]]

    def __init__(self, *, encoder: stage_state.StageStateEncoder, limits: JoinLimits, meter: Meter) -> None:
        self._encoder = encoder
        self._limits = limits
        self._meter = meter
        self._news = asyncio.Event()
        self._state: str | None = None
        self._pong_due = False
        self._answers: list[str] = []
        self._farewell: Ending | None = None

    def show(self, snapshot: StageSnapshot) -> None:
        """Note the newest snapshot; one that was not written yet is dropped."""
        self._state = self._encoder.encode(snapshot)
        self._news.set()

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Note that the server ends this connection; the first farewell counts."""
        if self._farewell is None:
            cause, code = FAREWELLS[reason]
            self._farewell = Ending(cause=cause, close_code=code, close_reason=detail or reason.value)
        self._news.set()

    async def run(self, receive: Receive, send: Send) -> Ending:
        """Serve the accepted socket until it ends; return how."""
        async with asyncio.TaskGroup() as tasks:
            sides = {tasks.create_task(self._hear_all(receive)), tasks.create_task(self._write_all(send))}
            done, open_sides = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            for side in open_sides:
                side.cancel()
        return self._farewell or next(iter(done)).result()

    async def _hear_all(self, receive: Receive) -> Ending:
        while True:
            message = await receive()
            ending = self._hear(message)
            if ending is not None:
                return ending
            # One exchange at a time: what the client says meanwhile waits, so that its messages keep their order.
            await self._take(message["text"])

    def _hear(self, message: Message) -> Ending | None:
        """Take one message of the client; return how the connection ends because of it, or None."""
        if message["type"] == "websocket.disconnect":
            # 1005 with a reason is a close frame without a code; without one, the HTTP server lost the connection.
            lost = message.get("code") == 1006 or "reason" not in message
            return GONE if lost else LEFT
        text = message.get("text")
        if text is None:
            return Ending(cause=Cause.REFUSED, close_code=1003, close_reason="text messages only")
        if len(text) > self._limits.events_message_size_bytes:
            return Ending(cause=Cause.REFUSED, close_code=1009, close_reason="message too big")
        if not self._meter.take():
            return Ending(cause=Cause.REFUSED, close_code=1008, close_reason="too many messages")
        return None

    async def _take(self, text: str) -> None:
        """Do what an acceptable message asks for. Other types are ignored."""
        match stage_state.message_type(text):
            case "PING":
                self._pong_due = True
            case token_exchange.EXCHANGE_TOKEN:
                self._answers.append(await self.answer_exchange(text))
            case _:
                return
        self._news.set()

    async def _write_all(self, send: Send) -> Ending:
        while self._farewell is None:
            for message in await self._next_messages():
                if not await self._deliver(send, {"type": "websocket.send", "text": message}):
                    return GONE
        return self._farewell

    async def close(self, send: Send, ending: Ending) -> None:
        """Send the close frame that this ending asks for, if any."""
        if ending.close_code is not None:
            await self._deliver(send, close_message(ending.close_code, ending.close_reason))

    async def _deliver(self, send: Send, message: Message) -> bool:
        """Send one message; return False when the client does not read, or the socket is gone."""
        try:
            async with asyncio.timeout(self._limits.events_send_timeout_seconds):
                await send(message)
        except (OSError, RuntimeError):
            # TimeoutError is an OSError; the others are how the HTTP server says that the socket is closed.
            return False
        return True

    async def _next_messages(self) -> list[str]:
        """Wait for something to say; when there is nothing for long, say PING."""
        try:
            async with asyncio.timeout(self._limits.events_ping_seconds):
                await self._news.wait()
        except TimeoutError:
            return [stage_state.PING]
        self._news.clear()
        messages = [stage_state.PONG] if self._pong_due else []
        messages += self._answers
        self._answers.clear()
        if self._state is not None:
            messages.append(self._state)
        self._pong_due, self._state = False, None
        return messages


class Events:
    """Serves the events websockets of one manager's participants."""

    def __init__(
        self, manager: JoinPort, *, limits: JoinLimits, attempts: AttemptMeters, monotonic: Callable[[], float]
    ) -> None:
        self._manager = manager
        self._limits = limits
        self._attempts = attempts
        self._monotonic = monotonic
        self._open: Counter[tuple[str, str]] = Counter()
        self._encoder = stage_state.StageStateEncoder()

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
            token = token_exchange.offered_token(text)
            return await self._manager.exchange_token(connection_id=connection_id, token=token)

        return await token_exchange.answer(exchange())

    async def _converse(self, connection: EventsConnection, token: str, receive: Receive, send: Send) -> Ending:
        try:
            await send({"type": "websocket.accept", "subprotocol": token, "headers": []})
        except OSError:
            return GONE
        ending = await connection.run(receive, send)
        await connection.close(send, ending)
        return ending


def close_message(code: int, reason: str) -> Message:
    """Return the ASGI message that closes an accepted websocket; a long reason is cut."""
    cut = reason.encode("utf-8")[:CLOSE_REASON_SIZE_BYTES].decode("utf-8", errors="ignore")
    return {"type": "websocket.close", "code": code, "reason": cut}


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
