"""One events websocket after its handshake.

Two tasks serve it. The reader takes the client's messages (PING, EXCHANGE_TOKEN), one at a time. The writer, which is
the task of the request, sends what waits: a PONG, the answers to token exchanges, and the states and changes of the
stage. The stage manager calls `show`, `show_change` and `farewell` from outside; they only store a value and wake the
writer, so that a slow client never delays the manager. The first task that ends ends the connection.

A connection holds no data of its own that grows with the stage. What waits for the client are references to messages
that all connections of the stage share (`events_outbox.py`). A message that has been begun must be sent to its end;
its parts are shared too (`stage_state_messages.py`), and the time for it is bounded, so that a client that reads just
enough to stay connected cannot keep old messages in memory.

Close codes are those of RFC 6455 section 7.4, and 4000 to 4999 for Stagebook's own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

import msgspec

from stagebook.api.asgi import DISCONNECT_REFUSED, Message, Receive, Send
from stagebook.api.light_event import LightEvent
from stagebook.api.participants import stage_state_messages, token_exchange_messages
from stagebook.api.participants.events_outbox import EventsOutbox
from stagebook.api.participants.request_limits import RequestLimits, TokenBucket
from stagebook.api.participants.stage_state_messages import StageStateMessage
from stagebook.manager.presence.watchers import FarewellReason, StageChange, StageSnapshot
from stagebook.stage.events import Cause

MAX_CLOSE_REASON_SIZE_BYTES = 123
"""A control frame has at most 125 bytes of payload, and the code takes two (RFC 6455 section 5.5)."""

_ABNORMAL_CLOSURE = 1006
_TIMER_RESOLUTION_SECONDS = 0.001


class ConnectionClose(msgspec.Struct, frozen=True, kw_only=True):
    """How a connection ended.

    `cause` is reported to the stage manager; None when the manager ended the connection itself. `close_code` and
    `close_reason` go into the close frame; without a code, the client is gone and no frame is sent.
    """

    cause: Cause | None
    close_code: int | None = None
    close_reason: str = ""


PEER_LOST = ConnectionClose(cause=Cause.PEER_LOST)
CLOSED_BY_CLIENT = ConnectionClose(cause=Cause.CLIENT)

FAREWELL_CLOSE_CODES: dict[FarewellReason, int] = {
    FarewellReason.DISCONNECTED: 4001,
    FarewellReason.STAGE_DELETED: 4002,
    FarewellReason.CONNECTION_TOKEN_REVOKED: 4003,
    FarewellReason.SHUTDOWN: 1001,
}
"""The close code for each reason of the stage manager. 1001 is "going away"."""


class EventsConnection:
    """One open events websocket. It implements the stage manager's StageWatcher.

    `answer_exchange` takes the text of an EXCHANGE_TOKEN message and returns the text of the answer. `ask_for_state`
    asks the stage manager to call `show`. Both must be set before `run`. `takes_changes`: the client has announced
    that it understands changes. `has_parts`: the server supports TEXT_PARTS_EXTENSION.
    """

    __slots__ = (
        "_farewell",
        "_has_parts",
        "_is_ping_due",
        "_is_pong_pending",
        "_limits",
        "_message_rate",
        "_outbox",
        "_pending_answers",
        "_ping_timer",
        "_reader",
        "_send_deadline",
        "_sent_at_seconds",
        "_wake_writer",
        "answer_exchange",
        "ask_for_state",
        "takes_changes",
    )

    answer_exchange: Callable[[str], Awaitable[str]]
    ask_for_state: Callable[[], None]

    def __init__(
        self,
        *,
        encoder: stage_state_messages.StageStateEncoder,
        limits: RequestLimits,
        message_rate: TokenBucket,
        has_parts: bool,
        takes_changes: bool = False,
    ) -> None:
        self.takes_changes = takes_changes
        self._outbox = EventsOutbox(encoder)
        self._limits = limits
        self._message_rate = message_rate
        self._has_parts = has_parts
        self._wake_writer = LightEvent()
        self._is_pong_pending = False
        self._is_ping_due = False
        self._pending_answers: tuple[str, ...] = ()
        self._farewell: ConnectionClose | None = None
        self._reader: asyncio.Task[ConnectionClose] | None = None
        self._send_deadline: asyncio.Timeout | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._sent_at_seconds = 0.0

    def show(self, snapshot: StageSnapshot) -> None:
        """Send a snapshot of the stage. It replaces what has not been sent yet."""
        self._outbox.show(snapshot)
        self._wake_writer.set()

    def show_change(self, change: StageChange) -> None:
        """Send a change of the stage."""
        self._outbox.show_change(change)
        self._wake_writer.set()

    def farewell(self, reason: FarewellReason, detail: str) -> None:
        """Close the connection for a reason of the stage manager. Only the first call has an effect."""
        if self._farewell is None:
            self._farewell = ConnectionClose(
                cause=None, close_code=FAREWELL_CLOSE_CODES[reason], close_reason=detail or reason.value
            )
        self._wake_writer.set()

    async def run(self, receive: Receive, send: Send) -> ConnectionClose:
        """Serve the accepted websocket until it ends; return how it ended. The close frame is not sent yet."""
        reader = self._reader = asyncio.get_running_loop().create_task(self._read(receive))
        reader.add_done_callback(self._on_read_end)
        try:
            close = await self._write(send)
        finally:
            reader.cancel()
            await asyncio.wait((reader,))
            self._reader = None
        # The manager's farewell wins: it has already recorded the end of this connection.
        if self._farewell is not None or reader.cancelled():
            return self._farewell or close
        return reader.result()

    def _on_read_end(self, _reader: "asyncio.Task[ConnectionClose]") -> None:
        """End the writer too, also while it sends."""
        if self._send_deadline is not None:
            self._send_deadline.reschedule(asyncio.get_running_loop().time())
        self._wake_writer.set()

    async def close(self, send: Send, close: ConnectionClose) -> None:
        """Send the close frame, if there is one to send."""
        if close.close_code is not None:
            message = close_message(close.close_code, close.close_reason)
            await self._send(send, (message,), seconds=self._limits.events_send_timeout_seconds)

    async def _read(self, receive: Receive) -> ConnectionClose:
        while True:
            message = await receive()
            close = self._check(message)
            if close is not None:
                return close
            # One exchange at a time. Later messages wait in the server's buffer, so that answers keep their order.
            await self._handle(message["text"])

    def _check(self, message: Message) -> ConnectionClose | None:
        """Return how this message of the client ends the connection; None when it is an acceptable message."""
        if message["type"] == "websocket.disconnect":
            if message.get(DISCONNECT_REFUSED):
                return ConnectionClose(cause=Cause.REFUSED)
            # uvicorn reports 1005 both for a close frame without a code and, without `reason`, for a lost connection.
            is_lost = message.get("code") == _ABNORMAL_CLOSURE or "reason" not in message
            return PEER_LOST if is_lost else CLOSED_BY_CLIENT
        text = message.get("text")
        if text is None:
            return ConnectionClose(cause=Cause.REFUSED, close_code=1003, close_reason="text messages only")
        if len(text) > self._limits.events_message_size_bytes:
            return ConnectionClose(cause=Cause.REFUSED, close_code=1009, close_reason="message too big")
        if not self._message_rate.take():
            return ConnectionClose(cause=Cause.REFUSED, close_code=1008, close_reason="too many messages")
        return None

    async def _handle(self, text: str) -> None:
        """Act on an acceptable message. Messages of other types are ignored."""
        match stage_state_messages.message_type(text):
            case "PING":
                self._is_pong_pending = True
            case token_exchange_messages.EXCHANGE_TOKEN:
                answer = await self.answer_exchange(text)
                self._pending_answers = (*self._pending_answers, answer)
            case _:
                return
        self._wake_writer.set()

    async def _write(self, send: Send) -> ConnectionClose:
        """Send what is pending until the connection ends."""
        self._sent_at_seconds = asyncio.get_running_loop().time()
        self._on_silence()
        try:
            while self._farewell is None and self._reader is not None and not self._reader.done():
                if not await self._send_texts(send):
                    return PEER_LOST
                message = self._outbox.take()
                if message is not None:
                    if not await self._send_state(send, message):
                        return PEER_LOST
                    continue
                if self._outbox.is_behind:
                    self.ask_for_state()
                await self._wake_writer.wait()
                self._wake_writer.clear()
        finally:
            self._cancel_ping_timer()
        return self._farewell or PEER_LOST

    async def _send_texts(self, send: Send) -> bool:
        """Send the small messages that wait; return False as `_send` does."""
        texts = self._take_texts()
        if not texts:
            return True
        messages = [{"type": "websocket.send", "text": text} for text in texts]
        return await self._send(send, messages, seconds=self._limits.events_send_timeout_seconds)

    # Not a coroutine of its own: a client that does not read would keep its frame.
    def _send_state(self, send: Send, message: StageStateMessage) -> Awaitable[bool]:
        """Send a state or a change; return False as `_send` does."""
        limits = self._limits
        seconds = limits.events_send_timeout_seconds + message.size_bytes / limits.events_bytes_per_second
        return self._send(send, self._state_messages(message), seconds=seconds)

    def _take_texts(self) -> list[str]:
        """Return the small messages that wait, and remove them."""
        texts = [stage_state_messages.PONG] if self._is_pong_pending else []
        texts += self._pending_answers
        texts += [stage_state_messages.PING] if self._is_ping_due else []
        self._is_pong_pending = self._is_ping_due = False
        self._pending_answers = ()
        return texts

    def _state_messages(self, state: StageStateMessage) -> Iterator[Message]:
        if not self._has_parts:
            yield {"type": "websocket.send", "text": state.text}
            return
        last = state.part_count - 1
        for number, part in enumerate(state.parts):
            yield {"type": "websocket.send", "text_part": part, "more_parts": number < last}

    async def _send(self, send: Send, messages: Iterable[Message], *, seconds: float) -> bool:
        """Send messages; return False when the client does not read them in time, or the socket is closed."""
        try:
            async with asyncio.timeout(seconds) as self._send_deadline:
                for message in messages:
                    await send(message)
        except (OSError, RuntimeError):
            # TimeoutError is an OSError. HTTP servers raise either of the two when the socket is closed.
            return False
        finally:
            self._send_deadline = None
        self._sent_at_seconds = asyncio.get_running_loop().time()
        return True

    def _on_silence(self) -> None:
        """Send a PING if nothing was sent for `events_ping_seconds`. Set the timer for the next one."""
        loop = asyncio.get_running_loop()
        # The timer is not set again for each message, so it can fire early.
        left_seconds = self._sent_at_seconds + self._limits.events_ping_seconds - loop.time()
        if left_seconds <= _TIMER_RESOLUTION_SECONDS:
            self._is_ping_due = True
            self._wake_writer.set()
            left_seconds = self._limits.events_ping_seconds
        self._ping_timer = loop.call_later(left_seconds, self._on_silence)

    def _cancel_ping_timer(self) -> None:
        if self._ping_timer is not None:
            self._ping_timer.cancel()
            self._ping_timer = None


def close_message(code: int, reason: str) -> Message:
    """Return the ASGI message that closes an accepted websocket. A long reason is cut between characters."""
    cut = reason.encode("utf-8")[:MAX_CLOSE_REASON_SIZE_BYTES].decode("utf-8", errors="ignore")
    return {"type": "websocket.close", "code": code, "reason": cut}
