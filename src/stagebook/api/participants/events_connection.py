"""One events websocket: a watcher whose news are written to the socket, and a client that is heard until it ends.

The manager pushes snapshots and the farewell; the client says PING and EXCHANGE_TOKEN. Knows no token, no manager,
no path.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from stagebook.api.participants import stage_state_messages, token_exchange_messages
from stagebook.api.participants.http_exchange import Message, Receive, Send
from stagebook.api.participants.request_limits import Meter, RequestLimits
from stagebook.manager.presence.watchers import FarewellReason, StageSnapshot
from stagebook.stage.events import Cause

CLOSE_REASON_SIZE_BYTES = 123
"""What a close frame has room for (RFC 6455 section 5.5)."""


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

    def __init__(self, *, encoder: stage_state_messages.StageStateEncoder, limits: RequestLimits, meter: Meter) -> None:
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
        match stage_state_messages.message_type(text):
            case "PING":
                self._pong_due = True
            case token_exchange_messages.EXCHANGE_TOKEN:
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
            return [stage_state_messages.PING]
        self._news.clear()
        messages = [stage_state_messages.PONG] if self._pong_due else []
        messages += self._answers
        self._answers.clear()
        if self._state is not None:
            messages.append(self._state)
        self._pong_due, self._state = False, None
        return messages


def close_message(code: int, reason: str) -> Message:
    """Return the ASGI message that closes an accepted websocket; a long reason is cut."""
    cut = reason.encode("utf-8")[:CLOSE_REASON_SIZE_BYTES].decode("utf-8", errors="ignore")
    return {"type": "websocket.close", "code": code, "reason": cut}
