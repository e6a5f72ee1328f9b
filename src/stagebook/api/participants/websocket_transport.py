"""An accepted websocket: reading and writing its messages within the limits, and its end.

Two tasks serve it. The reader takes the client's messages, one at a time. The writer, which is the task of the request,
sends what waits. The first task that ends ends the websocket.

What the messages are about is the matter of a *channel* (`WebsocketChannel`): the connection of one participant
(`events_connection.py`), or several of them. The channel keeps what waits for the client, and wakes the writer. So a
slow client never delays who has something for it, and the transport holds no message but the one that is being sent. A
message that has been begun must be sent to its end; the time for it is bounded, so that a client that reads just enough
to stay connected cannot keep old messages in memory.

Close codes are those of RFC 6455 section 7.4, and 4000 to 4999 for Stagebook's own.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol

import msgspec

from stagebook.api.access.token_bucket import TokenBucket
from stagebook.api.asgi import DISCONNECT_REFUSED, TEXT_PARTS_EXTENSION, Message, Receive, Scope, Send
from stagebook.api.light_event import LightEvent
from stagebook.api.participants.request_limits import RequestLimits
from stagebook.api.participants.stage_state_messages import PING, StageStateMessage
from stagebook.stage.events import Cause

MAX_CLOSE_REASON_SIZE_BYTES = 123
"""A control frame has at most 125 bytes of payload, and the code takes two (RFC 6455 section 5.5)."""

_ABNORMAL_CLOSURE = 1006
_TIMER_RESOLUTION_SECONDS = 0.001


class ConnectionClose(msgspec.Struct, frozen=True, kw_only=True):
    """How a connection ended.

    `cause` is reported to the stage manager; None when the manager ended the connection itself. `close_code` and
    `close_reason` go into the close frame; without a code, the client is gone and no frame is sent. `last_message` is
    sent before the close frame.
    """

    cause: Cause | None
    close_code: int | None = None
    close_reason: str = ""
    last_message: str | None = None


PEER_LOST = ConnectionClose(cause=Cause.PEER_LOST)
CLOSED_BY_CLIENT = ConnectionClose(cause=Cause.CLIENT)


class WebsocketChannel(Protocol):
    """What a transport carries. The methods are called on the event loop's thread."""

    def take_texts(self) -> list[str]:
        """Return the small messages that wait for the client, and remove them."""

    def take_state(self) -> StageStateMessage | None:
        """Return the next state or change of a stage that waits, and remove it; None if none does."""

    def on_drained(self) -> None:
        """Note that nothing waits any more. The channel may cause further messages."""

    def receive(self, text: str) -> Awaitable[None]:
        """Act on a message of the client, which has passed the limits. The next one is taken after that."""


class WebsocketTransport:
    """One websocket. `has_parts`: the server supports TEXT_PARTS_EXTENSION."""

    __slots__ = (
        "_end",
        "_has_parts",
        "_is_ping_due",
        "_limits",
        "_message_rate",
        "_ping_timer",
        "_reader",
        "_send_deadline",
        "_sent_at_seconds",
        "_wake_writer",
    )

    def __init__(self, *, limits: RequestLimits, message_rate: TokenBucket, has_parts: bool) -> None:
        self._limits = limits
        self._message_rate = message_rate
        self._has_parts = has_parts
        self._wake_writer = LightEvent()
        self._is_ping_due = False
        self._end: ConnectionClose | None = None
        self._reader: asyncio.Task[ConnectionClose] | None = None
        self._send_deadline: asyncio.Timeout | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._sent_at_seconds = 0.0

    def wake(self) -> None:
        """Let the writer take what waits in the channel."""
        self._wake_writer.set()

    def end(self, close: ConnectionClose) -> None:
        """End the websocket from this side, also before `run`. Only the first call has an effect."""
        if self._end is None:
            self._end = close
        self._wake_writer.set()

    async def run(self, channel: WebsocketChannel, receive: Receive, send: Send) -> ConnectionClose:
        """Serve the accepted websocket until it ends; return how it ended. The close frame is not sent yet."""
        reader = self._reader = asyncio.get_running_loop().create_task(self._read(channel, receive))
        reader.add_done_callback(self._on_read_end)
        try:
            close = await self._write(channel, send)
        finally:
            reader.cancel()
            await asyncio.wait((reader,))
            self._reader = None
        # An end from this side wins: if the manager caused it, it has already recorded the end of the connection.
        if self._end is not None or reader.cancelled():
            return self._end or close
        return reader.result()

    def _on_read_end(self, _reader: "asyncio.Task[ConnectionClose]") -> None:
        """End the writer too, also while it sends."""
        if self._send_deadline is not None:
            self._send_deadline.reschedule(asyncio.get_running_loop().time())
        self._wake_writer.set()

    async def close(self, send: Send, close: ConnectionClose) -> None:
        """Send the last message and the close frame, if there is one to send."""
        if close.close_code is not None:
            last = [] if close.last_message is None else [_text(close.last_message)]
            messages = [*last, close_message(close.close_code, close.close_reason)]
            await self._send(send, messages, seconds=self._limits.events_send_timeout_seconds)

    async def _read(self, channel: WebsocketChannel, receive: Receive) -> ConnectionClose:
        while True:
            message = await receive()
            close = self._check(message)
            if close is not None:
                return close
            # One message at a time. Later ones wait in the server's buffer, so that answers keep their order.
            await channel.receive(message["text"])

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

    async def _write(self, channel: WebsocketChannel, send: Send) -> ConnectionClose:
        """Send what is pending until the connection ends."""
        self._sent_at_seconds = asyncio.get_running_loop().time()
        self._on_silence()
        try:
            while self._end is None and self._reader is not None and not self._reader.done():
                if not await self._send_texts(send, channel.take_texts()):
                    return PEER_LOST
                state = channel.take_state()
                if state is not None:
                    # A PING could only follow the state, and the timers of unread websockets take memory.
                    self._cancel_ping_timer()
                    if not await self._send_state(send, state):
                        return PEER_LOST
                    self._on_silence()
                    continue
                channel.on_drained()
                await self._wake_writer.wait()
                self._wake_writer.clear()
        finally:
            self._cancel_ping_timer()
        return self._end or PEER_LOST

    async def _send_texts(self, send: Send, texts: list[str]) -> bool:
        """Send small messages, and a PING if it is due; return False as `_send` does."""
        if self._is_ping_due:
            texts.append(PING)
            self._is_ping_due = False
        if not texts:
            return True
        messages = [_text(text) for text in texts]
        return await self._send(send, messages, seconds=self._limits.events_send_timeout_seconds)

    # Not a coroutine of its own: a client that does not read would keep its frame.
    def _send_state(self, send: Send, state: StageStateMessage) -> Awaitable[bool]:
        """Send a state or a change; return False as `_send` does."""
        limits = self._limits
        seconds = limits.events_send_timeout_seconds + state.size_bytes / limits.events_bytes_per_second
        return self._send(send, self._state_messages(state), seconds=seconds)

    def _state_messages(self, state: StageStateMessage) -> Iterator[Message]:
        if not self._has_parts:
            yield _text(state.text)
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


def transport_for(scope: Scope, *, limits: RequestLimits, monotonic: Callable[[], float]) -> WebsocketTransport:
    """Return a transport for the websocket of a handshake."""
    message_rate = TokenBucket(
        burst=limits.events_messages_burst, per_second=limits.events_messages_per_second, monotonic=monotonic
    )
    has_parts = TEXT_PARTS_EXTENSION in (scope.get("extensions") or {})
    return WebsocketTransport(limits=limits, message_rate=message_rate, has_parts=has_parts)


async def accept_and_close(
    transport: WebsocketTransport, send: Send, close: ConnectionClose, *, subprotocol: str
) -> None:
    """Accept a handshake only to refuse it, with the last message and the close frame of `close`.

    The HTTP server aborts the websocket if the client does not close it too. Until then it counts in the limits on
    connections.
    """
    with contextlib.suppress(OSError):
        await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
        await transport.close(send, close)


def _text(text: str) -> Message:
    return {"type": "websocket.send", "text": text}


def close_message(code: int, reason: str) -> Message:
    """Return the ASGI message that closes an accepted websocket. A long reason is cut between characters."""
    cut = reason.encode("utf-8")[:MAX_CLOSE_REASON_SIZE_BYTES].decode("utf-8", errors="ignore")
    return {"type": "websocket.close", "code": code, "reason": cut}
