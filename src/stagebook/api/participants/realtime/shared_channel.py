"""The connections of several participants over one websocket.

Each stage that the client has joined is a connection of a participant (`events_connection.py`) with an outbox of its
own, under the *logical id* that the client has chosen. The transport is given their messages in turn: one list of each
stage that has one, after the answers, which are small. So a stage with many changes does not delay the others. A stage
that ends leaves the websocket, and the others go on. A revoked connection token and a shutdown end the websocket.

The client may connect before it joins a stage, and may leave all of them. A websocket without a stage is closed after
`shared_idle_seconds`.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from stagebook.api.light_event import LightEvent
from stagebook.api.participants.dialects.join_errors import sdk_join_error
from stagebook.api.participants.events_connection import FAREWELL_CLOSE_CODES
from stagebook.api.participants.participant_joins import JoinRequest, ParticipantJoins, StageJoin
from stagebook.api.participants.problem_responses import Problem, RequestRefusalCode, RequestRefusedError
from stagebook.api.participants.realtime import offer_messages, shared_messages
from stagebook.api.participants.realtime.shared_messages import AnswerIds, JoinStage, SharedMessage
from stagebook.api.participants.realtime.shared_offers import OfferExchange, SharedOffers
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.participants.stage_state_messages import StageStateMessage
from stagebook.api.participants.websocket_transport import ConnectionClose, WebsocketTransport
from stagebook.manager.presence.watchers import FarewellReason
from stagebook.stage.events import Cause

NO_STAGE = ConnectionClose(cause=None, close_code=4005, close_reason="NO_STAGE")
REVOKED = ConnectionClose(
    cause=None,
    close_code=FAREWELL_CLOSE_CODES[FarewellReason.CONNECTION_TOKEN_REVOKED],
    close_reason=FarewellReason.CONNECTION_TOKEN_REVOKED.value,
    last_message=sdk_join_error("TOKEN_REVOKED", "the connection token was revoked"),
)


class _LogicalConnection:
    """A stage on the websocket. `join` is None until it is joined; `close` is set when the server has ended it."""

    __slots__ = ("close", "join")

    def __init__(self) -> None:
        self.join: StageJoin | None = None
        self.close: ConnectionClose | None = None


class SharedChannel:
    """The stages of one websocket by logical id. It implements WebsocketChannel.

    `request_of` verifies a participant token and returns the request to join its stage; it raises StagebookError or
    RequestRefusedError. `problem_of` returns the response to an exception.
    """

    def __init__(
        self,
        transport: WebsocketTransport,
        *,
        joins: ParticipantJoins,
        exchange: OfferExchange,
        request_of: Callable[[str], JoinRequest],
        problem_of: Callable[[Exception], Problem],
        limits: RequestLimits,
    ) -> None:
        self._transport = transport
        self._joins = joins
        self._offers = SharedOffers(exchange, limits=limits)
        self._request_of = request_of
        self._problem_of = problem_of
        self._limits = limits
        self._stages: dict[str, _LogicalConnection] = {}
        self._texts: list[str] = []
        self._texts_taken = LightEvent()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._on_stages()

    def take_texts(self) -> list[str]:
        """Return the small messages of the websocket and of all stages that wait, and remove them."""
        texts, self._texts = self._texts, []
        self._texts_taken.set()
        for logical_id, stage in self._stages.items():
            if stage.join is not None:
                texts += [_wrapped(logical_id, text) for text in stage.join.connection.take_texts()]
        return texts

    def take_state(self) -> StageStateMessage | None:
        """Return the next state or change of the stage whose turn it is, and remove it; None if none waits."""
        for logical_id, stage in self._stages.items():
            state = None if stage.join is None else stage.join.connection.take_state()
            if state is not None:
                self._stages[logical_id] = self._stages.pop(logical_id)  # it is the last one to have its turn again
                prefix = shared_messages.prefix_of(logical_id).encode("ascii")
                return state.wrapped(prefix, shared_messages.SUFFIX.encode("ascii"))
        return None

    def on_drained(self) -> None:
        """Let each stage note that nothing waits any more."""
        for stage in self._stages.values():
            if stage.join is not None:
                stage.join.connection.on_drained()

    async def receive(self, text: str) -> None:
        """Act on a message of the client. Messages of other types, and of stages that are not joined, are ignored.

        A client that does not read its answers has to wait with further messages.
        """
        if len(self._texts) >= self._limits.shared_answers_waiting:
            self._texts_taken.clear()
            await self._texts_taken.wait()
        message = shared_messages.parse_message(text)
        if message is None:
            return
        if message.logical_id is None:
            if message.type == "PING":
                self._send(shared_messages.pong(text))
            return
        stage = self._stages.get(message.logical_id)
        if message.type == shared_messages.JOIN_STAGE:
            request = shared_messages.parse_join(message.text)
            if request is not None:
                await self.join(message.logical_id, request)
        elif stage is not None and stage.join is not None:
            await self._receive_for(stage.join, message.logical_id, message)

    async def _receive_for(self, join: StageJoin, logical_id: str, message: SharedMessage) -> None:
        """Act on a message of a stage that is joined."""
        match message.type:
            case shared_messages.LEAVE_STAGE:
                await self._leave(logical_id, join)
            case shared_messages.SET_STATE:
                parsed = shared_messages.parse_set_state(message.text)
                if parsed is not None:
                    join.connection.actions.set_state(parsed[0])
                    self._send_for(logical_id, shared_messages.done(shared_messages.SET_STATE, parsed[1]))
            case offer_messages.SDP_OFFER:
                offer = offer_messages.parse_offer(message.text)
                if offer is not None:
                    self._offers.start(logical_id, join.request, offer, self._send_for)
            case _:
                await join.connection.receive(message.text)

    async def join(self, logical_id: str, request: JoinStage) -> None:
        """Join a stage and answer, also if it is refused. A stage that is joined already is joined again by the answer.

        Only one join is in progress at a time: the transport gives one message after the other.
        """
        if logical_id in self._stages:
            self._send_for(logical_id, shared_messages.done(shared_messages.JOIN_STAGE, request.ids))
            return
        stage = _LogicalConnection()
        try:
            if len(self._stages) >= self._limits.shared_stages:
                raise _too_many_stages(self._limits.shared_stages)
            join = await self._joins.join(
                self._request_of(request.token),
                wake=self._transport.wake,
                end=partial(self._on_end, logical_id, stage),
            )
        except Exception as error:  # noqa: BLE001 - it becomes an answer; the other stages go on
            self._send_for(logical_id, shared_messages.not_joined(request.ids, self._problem_of(error)))
            return
        self._send_for(logical_id, shared_messages.done(shared_messages.JOIN_STAGE, request.ids))
        stage.join = join
        self._stages[logical_id] = stage
        self._on_stages()
        if stage.close is not None:
            self._remove(logical_id, join, stage.close)

    async def leave_all(self, cause: Cause) -> None:
        """Leave all stages, because the websocket has ended."""
        joins = [self._take(logical_id) for logical_id in tuple(self._stages)]
        self._cancel_idle_timer()
        await self._offers.cancel()
        await asyncio.gather(*(self._joins.leave(join, cause) for join in joins if join is not None))

    async def _leave(self, logical_id: str, join: StageJoin) -> None:
        self._take(logical_id)
        self._on_stages()
        await self._offers.cancel(logical_id)
        await self._joins.leave(join, Cause.CLIENT)

    def _on_end(self, logical_id: str, stage: _LogicalConnection, close: ConnectionClose) -> None:
        """Act on the end of a stage's connection by the stage manager, which has recorded it."""
        if stage.close is not None:
            return
        stage.close = close
        if stage.join is not None and self._stages.get(logical_id) is stage:
            self._remove(logical_id, stage.join, close)

    def _remove(self, logical_id: str, join: StageJoin, close: ConnectionClose) -> None:
        """Remove a stage that the server has ended, and tell the client, or end the websocket as a whole."""
        self._take(logical_id)
        self._joins.forget(join)
        if close.close_code == REVOKED.close_code:
            self._transport.end(REVOKED)
        elif close.close_code == FAREWELL_CLOSE_CODES[FarewellReason.SHUTDOWN]:
            self._transport.end(close)
        else:
            self._on_stages()
            if close.last_message is not None:
                self._send_for(logical_id, close.last_message)

    def _take(self, logical_id: str) -> StageJoin | None:
        """Remove a stage and return its join. The stage drops it, so that they do not keep each other in memory."""
        stage = self._stages.pop(logical_id)
        join, stage.join = stage.join, None
        return join

    def _send_for(self, logical_id: str, text: str) -> None:
        self._send(_wrapped(logical_id, text))

    def _send(self, text: str) -> None:
        self._texts.append(text)
        self._transport.wake()

    def _on_stages(self) -> None:
        """Start the time without a stage, or stop it."""
        self._cancel_idle_timer()
        if not self._stages:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._limits.shared_idle_seconds, self._transport.end, NO_STAGE)

    def _cancel_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None


def handshake_join(logical_id: str, token: str) -> JoinStage:
    """Return the request for a stage that was offered in the handshake. Its answer has the logical id as request id."""
    return JoinStage(token=token, ids=AnswerIds(request_id=logical_id))


def _wrapped(logical_id: str, text: str) -> str:
    return f"{shared_messages.prefix_of(logical_id)}{text}{shared_messages.SUFFIX}"


def _too_many_stages(limit: int) -> RequestRefusedError:
    return RequestRefusedError(
        status=403, code=RequestRefusalCode.TOO_MANY_STAGES, message=f"a websocket can have at most {limit} stages"
    )
